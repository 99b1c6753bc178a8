"""Builds on the embedded engine for real: what is made, and what an edit makes anew."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Build = Callable[..., subprocess.CompletedProcess[str]]


def _report(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / "dist/build.json").read_text())
    return found


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    """The layers of each image that are not what they were."""
    out = {}
    for name, image in after["images"].items():
        old = {layer["name"]: layer["digest"] for layer in before["images"][name]["layers"]}
        out[name] = [layer["name"] for layer in image["layers"] if layer["digest"] != old[layer["name"]]]
    return out


def test_another_project_is_built_and_answers_and_an_edit_makes_only_its_own_layer_anew(
    plain: Path, build: Build
) -> None:
    first = build(plain)
    assert first.returncode == 0, first.stderr[-3000:]
    before = _report(plain)
    assert set(before["images"]) == {"distroless", "standard"}
    held = {layer["name"]: layer["holds"] for layer in before["images"]["distroless"]["layers"]}
    assert held["dependencies"] == ["click 8.5.1", "h11 0.16.0", "uvicorn 0.54.0"]
    assert any(package.startswith("libc6 ") for package in held["base"])

    again = build(plain, "--no-run")
    assert again.returncode == 0, again.stderr[-3000:]
    assert [stage["name"] for stage in _report(plain)["stages"] if stage["steps"]["ran"]] == []
    assert _report(plain)["images"] == before["images"]

    (plain / "hello/app.py").write_text((plain / "hello/app.py").read_text() + f"\n# edited {os.urandom(8).hex()}\n")
    edited = build(plain, "--no-run")
    assert edited.returncode == 0, edited.stderr[-3000:]
    assert _changed(before, _report(plain)) == {"distroless": ["application"], "standard": ["application"]}
    cached = {stage["name"]: stage["cached"] for stage in _report(plain)["stages"]}
    assert cached["dependencies"] and cached["runtime base"] and not cached["application"]

    requirements = (plain / "requirements.txt").read_text()
    (plain / "requirements.txt").write_text(requirements[: requirements.index("h11==")])
    fewer = build(plain, "--no-run")
    assert fewer.returncode == 0, fewer.stderr[-3000:]
    assert _changed(before, _report(plain)) == {
        "distroless": ["dependencies", "application"],
        "standard": ["dependencies", "application"],
    }


def test_modules_below_src_go_to_the_application_folder_without_it_and_are_started_there(
    plain: Path, build: Build
) -> None:
    (plain / "src").mkdir()
    (plain / "hello").rename(plain / "src/hello")
    table = (plain / "pyproject.toml").read_text()
    (plain / "pyproject.toml").write_text(table.replace('["hello"]', '["src/hello"]'))
    subprocess.run(["git", "add", "-A"], cwd=plain, check=True)
    done = build(plain, "--target", "distroless")
    assert done.returncode == 0, done.stderr[-3000:]
    held = {layer["name"]: layer["holds"] for layer in _report(plain)["images"]["distroless"]["layers"]}
    assert held["application"] == ["/app/hello"]


def test_an_edit_of_the_rust_core_makes_the_wheel_and_its_layer_anew(clone: Path, build: Build) -> None:
    first = build(clone, "--no-run", "--target", "distroless")
    assert first.returncode == 0, first.stderr[-3000:]
    before = _report(clone)
    source = next(path for path in sorted((clone / "rust_core").rglob("*.rs")) if "\n#[pymodule]" in path.read_text())
    source.write_text(source.read_text().replace("\n#[pymodule]", f"\n/// {os.urandom(8).hex()}\n#[pymodule]", 1))
    edited = build(clone, "--no-run", "--target", "distroless")
    assert edited.returncode == 0, edited.stderr[-3000:]
    after = _report(clone)
    assert _changed(before, after) == {"distroless": ["rust core"]}
    stages = {stage["name"]: stage for stage in after["stages"]}
    assert stages["rust base"]["cached"] and stages["dependencies"]["cached"] and stages["application"]["cached"]
    # Maturin on the edited workspace, the unpacking of its wheel, and its layer; no crate was fetched or compiled again.
    assert stages["rust builder"]["steps"]["ran"] <= 3
