"""The source tree as git knows it: its files, its revision, its time."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import PipelineError


@dataclass(frozen=True, slots=True)
class Source:
    """``epoch`` is the commit's time in seconds since 1970; ``files`` are relative to the project."""

    revision: str
    dirty: bool
    epoch: int
    files: tuple[str, ...]


def read(folder: Path, output: Path) -> Source:
    """What git says of a folder: tracked files that are there, and new ones that it does not ignore.

    ``output`` is where the build writes to; what lies there is no source, ignored or not.

    Raises:
        PipelineError: no git, no repository, or no commit in it.
    """
    revision = _git(folder, "rev-parse", "HEAD").strip()
    epoch = int(_git(folder, "log", "-1", "--format=%ct").strip())
    places = [".", *_excluded(folder, output)]
    status = _git(folder, "status", "--porcelain", "--", *places)
    listed = _git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *places).split("\0")
    files = sorted(
        {name for name in listed if (name and (folder / name).exists()) or (folder / name).is_symlink()} - {""}
    )
    return Source(revision, bool(status.strip()), epoch, tuple(files))


def _excluded(folder: Path, output: Path) -> list[str]:
    """Pathspecs that leave out the output folder and what stands beside it while a build goes on."""
    if not output.is_relative_to(folder) or output == folder:
        return []
    place = output.relative_to(folder)
    beside = place.parent / f".{place.name}.*"
    return [f":(exclude,literal){place}", f":(exclude,glob){beside}", f":(exclude,glob){beside}/**"]


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-c", f"safe.directory={folder}", "-c", "safe.directory=*", *words],
            cwd=folder,
            capture_output=True,
            check=False,
        )
    except OSError:
        raise PipelineError("git is not installed, and the image's time and source come from it") from None
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip().splitlines()
        raise PipelineError(
            f"{folder} is no git repository with a commit, which the image's time and source come from: "
            f"{text[-1] if text else 'git failed'}; run git init, git add and git commit"
        )
    return done.stdout.decode(errors="surrogateescape")
