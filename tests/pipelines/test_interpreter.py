"""Commands typed with a Python that has none of the packages: they go on in .venv, or say what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import HERE

BARE = str(getattr(sys, "_base_executable", sys.executable))


@pytest.fixture(autouse=True)
def bare() -> None:
    known = subprocess.run([BARE, "-c", "import dagger"], capture_output=True, check=False, timeout=60).returncode == 0
    if known:
        pytest.skip(f"{BARE} has the packages itself")


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [BARE, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_command_goes_on_in_the_virtual_environment_with_the_words_that_were_typed(tmp_path: Path) -> None:
    if not (HERE / ".venv/bin/python").exists():
        pytest.skip("there is no .venv in this checkout")
    done = typed(HERE, "-B", "pipelines/verify.py", "a place", "--policy", str(tmp_path / "a policy.toml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"verify: {tmp_path}/a policy.toml: No such file or directory\n"


def test_where_there_is_none_it_is_said_and_what_needs_no_package_works(tmp_path: Path) -> None:
    for name in ("pipelines", "images", "registry", "scanning", "sbom", "signing", "verification"):
        shutil.copytree(HERE / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = typed(tmp_path, "pipelines/release.py", "--help")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"release: {BARE} has no package ") and "make venv" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "summary.py" in typed(tmp_path, "pipelines/summary.py", "--help").stdout
