"""What tests install or build once a machine and keep: other people's tools, each under the digest of its lock."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from subprocess import CompletedProcess
from tempfile import mkdtemp

import pytest

from engine.home import default_root

_INSTALL = (
    "install", "-q", "--disable-pip-version-check", "--root-user-action", "ignore", "--require-hashes", "--no-deps",
    "--no-compile", "--only-binary", ":all:",
)  # fmt: skip
REQUIREMENTS = Path(__file__).parents[2] / "requirements"


def kept(name: str, locks: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` fills, once for what the locks hold now.

    It is there as a whole or not at all; of several processes that want it one makes it, and the others wait.
    """
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in locks)).hexdigest()
    folder = Path(default_root()).parent / "pipelines-tests" / f"{name}-{digest[:16]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        staged = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            make(staged)
            staged.chmod(0o755)
            os.replace(staged, folder)
        finally:
            rmtree(staged, ignore_errors=True)
    return folder


def tried(words: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """What a command that downloads said: a second time where it failed, for a connection may break once."""
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return (
        done
        if not done.returncode
        else subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    )


def wheels(lock: str) -> Path:
    """The folder into which the hashed requirements ``requirements/LOCK.txt`` are installed; skips where they cannot be had."""

    def make(folder: Path) -> None:
        done = tried([sys.executable, "-m", "pip", *_INSTALL, "--target", str(folder), "-r", str(listed)])
        if done.returncode:
            pytest.skip(f"requirements/{lock}.txt cannot be had: {done.stderr.strip().splitlines()[-1:]}")

    listed = REQUIREMENTS / f"{lock}.txt"
    return kept(lock, [listed], make)
