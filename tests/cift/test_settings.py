"""Secrets that are mounted as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cift.settings import Settings, SettingsError


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@db:5432/x\n")
    (tmp_path / "key").write_text("k" * 32 + "\n")
    named = {"DATABASE_URL_FILE": str(tmp_path / "url"), "CIFT_MASTER_KEY_FILE": str(tmp_path / "key")}
    found = Settings.of_environment(named)
    assert (found.database, found.master_key) == ("postgresql://u:p@db:5432/x", "k" * 32)


@pytest.mark.parametrize("name", ["DATABASE_URL", "CIFT_MASTER_KEY"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", "both"])
def test_a_secret_that_cannot_be_read_is_one_clear_error(
    name: str, content: bytes | str | None, tmp_path: Path
) -> None:
    path, more = tmp_path / "secret", {}
    if content == "both":
        more, content = {name: "x"}, b"x"
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"{name}"):
        Settings.of_environment({f"{name}_FILE": str(path), **more})
