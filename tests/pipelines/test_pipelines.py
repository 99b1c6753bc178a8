"""Configuration, the output folder, and builds on the embedded engine for real."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import config, report, source
from pipelines.errors import PipelineError

HERE = Path(__file__).resolve().parents[2]
PLAIN = HERE / "tests/projects/plain"


def _build(project: Path, *words: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    words = (
        sys.executable,
        str(HERE / "pipelines/build.py"),
        "--engine",
        "embedded",
        "--project",
        str(project),
        *words,
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DAGGER_")} | (environ or {})
    return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=900, check=False)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A repository with the plain project in it."""
    folder = tmp_path / "project"
    shutil.copytree(PLAIN, folder, ignore=shutil.ignore_patterns("dist", "__pycache__", ".dist*"))
    for words in (("init", "-q"), ("add", "-A"), ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


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
        config.platforms("linux/mips")


def test_a_folder_that_is_no_repository_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="git init"):
        source.read(tmp_path)


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


def test_another_project_is_built_and_answers_and_an_edit_changes_only_its_layer(plain: Path) -> None:
    first = _build(plain)
    assert first.returncode == 0, first.stderr[-3000:]
    before = json.loads((plain / "dist/build.json").read_text())
    assert set(before["images"]) == {"distroless", "standard"}
    (plain / "hello/app.py").write_text((plain / "hello/app.py").read_text() + f"\n# edited {os.urandom(8).hex()}\n")
    second = _build(plain, "--no-run")
    assert second.returncode == 0, second.stderr[-3000:]
    after = json.loads((plain / "dist/build.json").read_text())
    for name, image in after["images"].items():
        old = {layer["name"]: layer["diff_id"] for layer in before["images"][name]["layers"]}
        changed = [layer["name"] for layer in image["layers"] if layer["diff_id"] != old[layer["name"]]]
        assert changed == ["application"]
    cached = {stage["name"]: stage["cached"] for stage in after["stages"]}
    assert cached["dependencies"] and cached["runtime base"] and not cached["application"]


def test_a_syntax_error_names_the_file_and_leaves_the_output(plain: Path) -> None:
    (plain / "dist").mkdir()
    (plain / "dist/kept").write_text("1")
    (plain / "hello/app.py").write_text("def broken(:\n")
    done = _build(plain, "--no-run")
    assert done.returncode == 1
    assert "app.py" in done.stderr and "SyntaxError" in done.stderr
    assert (plain / "dist/kept").exists()


def test_no_mirror_at_all_is_one_clear_error(plain: Path, tmp_path: Path) -> None:
    done = _build(
        plain, environ={"DEBIAN_MIRROR": "http://127.0.0.1:9/debian", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    )
    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr or "cannot be fetched" in done.stderr
    assert "Traceback" not in done.stderr
