"""Inputs of stages from the host: locked downloads, the first program, the project's files."""

from __future__ import annotations

import os
from pathlib import Path

import dagger
from dagger import dag

from images.debian import deb, fetch, lock, mirror, roots
from images.errors import ImageError
from pipelines.errors import PipelineError
from pipelines.stages.bases import Download, Seed

HERE = Path(__file__).resolve().parent.parent


def _lock(name: str, architecture: str = roots.ARCHITECTURE) -> lock.Lock:
    return lock.read(HERE / "bases" / f"{roots.lock_name(name, architecture)}.lock")


def _mirrors() -> mirror.Mirrors:
    return mirror.mirrors(os.environ)


def downloads(
    name: str, without: str = "", place: Path | None = None, architecture: str = roots.ARCHITECTURE
) -> tuple[Download, ...]:
    """The packages of a root for an architecture (Debian's name), less those of another root; ``place`` is where its lock is,
    if it is not one of the pipelines' own.

    Raises:
        PipelineError: the lock cannot be read, or no mirror is known.
    """
    try:
        locked, mirrors = lock.read(place) if place else _lock(name, architecture), _mirrors()
        left_out = {p.name for p in _lock(without, architecture).packages} if without else set()
        found = []
        for number, package in enumerate(p for p in locked.packages if p.name not in left_out):
            urls = tuple(mirrors.url(package.archive, package.path, locked.timestamp(package.archive)))
            where = place or f"bases/{roots.lock_name(name, architecture)}.lock"
            what = f"{package.name} {package.version} of {where}"
            found.append(Download(f"{number:03}-{package.name}.deb", what, urls, f"sha256:{package.sha256}"))
        return tuple(found)
    except ImageError as error:
        raise PipelineError(str(error)) from None


def seed() -> Seed:
    """Busybox out of its locked package, and the script that unpacks others.

    Raises:
        PipelineError: the package cannot be had, or is not the one that is locked.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "pipelines-seed"
    try:
        locked = _lock("sandbox")
        package = locked.package("busybox-static")
        target = base / package.sha256 / "busybox"
        if not target.is_file():
            path = fetch.fetch(package, locked, _mirrors(), base)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged = target.with_suffix(f".{os.getpid()}")
            staged.write_bytes(deb.read_file(path, "usr/bin/busybox"))
            staged.chmod(0o755)
            staged.replace(target)
        return Seed(target, HERE / "images/debian/unpack.sh")
    except ImageError as error:
        raise PipelineError(str(error)) from None
    except OSError as error:
        raise PipelineError(f"{base}: {error.strerror}; set XDG_CACHE_HOME to a folder that you can write") from None


def project_source(root: Path, files: tuple[str, ...]) -> dagger.Directory:
    """These files of a project, and no others."""
    return dag.host().directory(str(root), include=list(files), no_cache=True)
