"""A machine that takes in another's store builds without running a step, and finds the same digest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from conftest import HERE, Build


def cache(store: Path, *words: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "engine", "cache", *words, "--json"],
        env={**os.environ, "XDG_CACHE_HOME": str(store)},
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def report(project: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((project / "dist/build.json").read_bytes())
    return found


def test_an_empty_machine_that_imports_a_store_runs_no_step(plain: Path, build: Build, tmp_path: Path) -> None:
    words, began = ("--no-run", "--no-scan", "--target", "distroless"), time.monotonic()
    assert build(plain, *words).returncode == 0
    first = report(plain)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    sent = cache(home, "export", str(tmp_path / "warm"), "--used-within", f"{time.monotonic() - began + 1:.0f}s")
    assert cache(tmp_path / "empty", "import", str(tmp_path / "warm"), "--digest", str(sent["digest"])) == sent
    # The one program that a build begins with lies beside the store; nothing else comes from elsewhere.
    shutil.copytree(home / "pipelines-seed", tmp_path / "empty/pipelines-seed")
    done = build(plain, *words, XDG_CACHE_HOME=str(tmp_path / "empty"), DEBIAN_MIRROR="http://127.0.0.1:9/debian")
    assert done.returncode == 0, done.stderr
    second = report(plain)
    assert [stage["name"] for stage in second["stages"] if stage["steps"]["ran"]] == []  # type: ignore[attr-defined]
    assert {t: i["digest"] for t, i in first["images"].items()} == {t: i["digest"] for t, i in second["images"].items()}  # type: ignore[attr-defined]
