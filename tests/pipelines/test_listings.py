"""What was read of a layer and kept: the same as reading it, not believed when it was changed, and no cover for other bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import contents
from pipelines.errors import PipelineError
from tests.parts.sample import image


def _layer(folder: Path) -> Path:
    return max((folder / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)


def test_a_layer_that_was_read_before_reads_the_same(tmp_path: Path) -> None:
    image(tmp_path / "image")
    first = contents.read(tmp_path / "image", kept=tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 2
    assert contents.read(tmp_path / "image", kept=tmp_path / "kept") == first == contents.read(tmp_path / "image")


def test_a_listing_that_was_changed_is_read_again(tmp_path: Path) -> None:
    image(tmp_path / "image")
    first = contents.read(tmp_path / "image", kept=tmp_path / "kept")
    for place in (tmp_path / "kept").iterdir():
        place.write_text(place.read_text().replace("app/main.py", "app/none.py"))
    assert contents.read(tmp_path / "image", kept=tmp_path / "kept") == first
    for place in (tmp_path / "kept").iterdir():
        place.write_text("{}")
    assert contents.read(tmp_path / "image", kept=tmp_path / "kept") == first


def test_a_listing_is_no_cover_for_a_layer_with_other_bytes(tmp_path: Path) -> None:
    image(tmp_path / "image")
    contents.read(tmp_path / "image", kept=tmp_path / "kept")
    layer = _layer(tmp_path / "image")
    layer.write_bytes(layer.read_bytes() + b"x")
    with pytest.raises(PipelineError, match="has another digest"):
        contents.read(tmp_path / "image", kept=tmp_path / "kept")


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    image(tmp_path / "image")
    (tmp_path / "kept").write_text("a file")
    assert contents.read(tmp_path / "image", kept=tmp_path / "kept") == contents.read(tmp_path / "image")
