"""Projects to build, and building them as a user does: the command, in a process of its own, on the embedded engine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
PLAIN = HERE / "tests/projects/plain"
Build = Callable[..., subprocess.CompletedProcess[str]]


def command(project: Path, *words: str, toolkit: Path = HERE) -> list[str]:
    """The words of a build; ``toolkit`` is the checkout whose pipelines run."""
    return [
        sys.executable,
        str(toolkit / "pipelines/build.py"),
        "--engine",
        "embedded",
        "--project",
        str(project),
        *words,
    ]


def environment(**more: str) -> dict[str, str]:
    """This one, without a session and without a question for a database that no test needs."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DAGGER_")}
    return kept | {"PIPELINES_SCAN_DATABASE": "none"} | more


def built(
    project: Path, *words: str, toolkit: Path = HERE, within: tuple[str, ...] = (), **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*within, *command(project, *words, toolkit=toolkit)],
        capture_output=True,
        text=True,
        env=environment(**environ),
        timeout=900,
        check=False,
    )


@pytest.fixture
def build() -> Build:
    return built


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Builds that are started and not waited for, each with a process group of its own."""
    running: list[subprocess.Popen[str]] = []

    def start(project: Path, *words: str, **environ: str) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                command(project, *words),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment(**environ),
                start_new_session=True,
            )
        )
        return running[-1]

    yield start
    for process in running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def commit(folder: Path) -> None:
    for words in (("init", "-q"), ("add", "-A"), ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=folder, check=True)


def repository(folder: Path) -> Path:
    """A new folder with the plain project in it, committed."""
    shutil.copytree(PLAIN, folder, ignore=shutil.ignore_patterns("dist", "__pycache__", ".dist*"))
    commit(folder)
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return repository(tmp_path / "project")


def copied(folder: Path) -> None:
    """Put this checkout's files as they are now into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HERE,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (HERE / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HERE / name, folder / name)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of this checkout's files as they are now, committed."""
    folder = tmp_path / "clone"
    copied(folder)
    commit(folder)
    return folder
