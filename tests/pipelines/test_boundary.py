"""What is read at the boundary: the table, the requirements, git; and how the output folder is put in place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipelines import config, platforms, report, source
from pipelines.errors import PipelineError


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no key 'colour'"):
        config.parse({"colour": "red"}, tmp_path, "pyproject.toml")


def test_a_key_of_another_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="port must be a number"):
        config.parse({"port": "8000"}, tmp_path, "pyproject.toml")


def test_a_requirement_without_a_hash_is_named(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(f"good==1 --hash=sha256:{'0' * 64}\nbad==2\n")
    with pytest.raises(PipelineError, match="bad==2 has no hash"):
        config.check_hashes(path)


def test_an_unknown_platform_is_told_the_known_ones() -> None:
    with pytest.raises(PipelineError, match=r"unknown platform 'linux/mips'; known are: linux/amd64"):
        platforms.parse("linux/mips")


def test_a_folder_that_is_no_repository_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="git init"):
        source.read(tmp_path, tmp_path / "dist")


def test_a_failed_write_leaves_the_previous_output_as_it_was(tmp_path: Path) -> None:
    output = tmp_path / "dist"
    with report.swapped(output) as staged:
        (staged / "f").write_text("first")
    with pytest.raises(ValueError, match="broken"), report.swapped(output) as staged:
        (staged / "f").write_text("second")
        raise ValueError("broken")
    assert (output / "f").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".dist.new")] == []


def test_two_writers_of_one_output_are_told_apart(tmp_path: Path) -> None:
    with report.swapped(tmp_path / "dist"), pytest.raises(PipelineError, match="another build"):
        with report.swapped(tmp_path / "dist"):
            pass


def test_what_a_build_writes_is_no_source_and_makes_no_tree_dirty(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    for words in (("init", "-q"), ("add", "-A"), ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    for name in ("dist/build.json", ".dist.lock", ".dist.new-1/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    found = source.read(tmp_path, tmp_path / "dist")
    assert (found.files, found.dirty) == (("a.py",), False)
    (tmp_path / "b.py").write_text("")
    found = source.read(tmp_path, tmp_path / "dist")
    assert (found.files, found.dirty) == (("a.py", "b.py"), True)


def test_an_output_that_cannot_be_written_is_named() -> None:
    with pytest.raises(PipelineError, match=r"/proc/nowhere/dist cannot be written.*--output"):
        with report.swapped(Path("/proc/nowhere/dist")):
            pass
