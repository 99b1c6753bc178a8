"""Handing an image over: one file that is an OCI layout and a docker archive, read by skopeo as either."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pipelines import load
from tests.parts import toolbox

DIST = Path(__file__).resolve().parents[2] / "dist/distroless"


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    if not DIST.exists():
        pytest.skip("there is no dist/ in this checkout; make build makes it")
    shutil.copytree(DIST, tmp_path / "image")
    return tmp_path / "image"


def test_an_archive_is_read_as_what_docker_loads_and_as_what_podman_and_containerd_do(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "image.tar"
    assert load.main([str(layout), "--archive", str(archive), "--name", "localhost/some/app:1"]) == 0
    assert capsys.readouterr().out == f"{archive}  localhost/some/app:1\n"
    wanted = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    for kind in ("docker-archive", "oci-archive"):
        words = [*toolbox.program("skopeo"), "inspect", "--config", "--raw", f"{kind}:{archive}"]
        assert json.loads(toolbox.run(words, os.environ).stdout)["config"]["User"] == "1000:1000"
    words = [*toolbox.program("skopeo"), "inspect", "--format", "{{.Digest}}", f"oci-archive:{archive}"]
    assert toolbox.run(words, os.environ).stdout.strip() == wanted


def test_what_cannot_be_handed_over_is_one_clear_error(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load.main([str(layout), "--into", "docker"]) == 1
    assert "there is no docker on PATH" in capsys.readouterr().err
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho no daemon here >&2\nexit 1\n")
    docker.chmod(0o755)
    assert load.main([str(layout), "--into", "docker"]) == 1
    assert capsys.readouterr().err == "load: docker load: no daemon here\n"
    blob = max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(blob.read_bytes()[:-1])
    assert load.main([str(layout), "--archive", str(tmp_path / "x.tar")]) == 1
    assert "has digest" in capsys.readouterr().err and not (tmp_path / "x.tar").exists()
