"""The commands, as a user runs them: each in a process of its own, with no home and nothing of the tests' environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]


def words(name: str, *more: object) -> list[str]:
    return [sys.executable, str(HERE / "pipelines" / f"{name}.py"), *map(str, more)]


def command(name: str, *more: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """What ``pipelines/NAME.py`` said."""
    return subprocess.run(
        words(name, *more),
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
