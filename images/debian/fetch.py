"""Downloading a locked package; nothing that does not match its digest is ever used."""

from __future__ import annotations

import os
from pathlib import Path

from images.debian import http
from images.debian.lock import Lock
from images.debian.mirror import Mirrors
from images.debian.package import Package
from images.digest import Digest
from images.errors import ImageError


def fetch(package: Package, lock: Lock, mirrors: Mirrors, folder: Path) -> Path:
    """The package's file, `folder/SHA256.deb`: from there if it is intact, else from the first mirror that has it.

    Raises:
        ImageError: it cannot be had, or is not the one that is locked.
    """
    path = folder / f"{package.sha256}.deb"
    if path.is_file() and Digest.of_file(path).hex == package.sha256:
        return path
    who = f"package {package.name} {package.version} of root {lock.root}"
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{package.sha256}.{os.getpid()}"
    problems: list[str] = []
    gone = True
    try:
        for url in mirrors.url(package.archive, package.path, lock.timestamp(package.archive)):
            try:
                with staged.open("w+b") as file:
                    http.download(url, file, package.size)
            except (http.Absent, http.Unreachable) as error:
                problems.append(str(error))
                gone = gone and isinstance(error, http.Absent)
                continue
            found = Digest.of_file(staged).hex
            if found != package.sha256:
                raise ImageError(
                    f"{who} has digest sha256:{found} at {url}, but the lock says sha256:{package.sha256}: "
                    "the mirror or the lock was changed; nothing of it is used"
                )
            staged.replace(path)
            return path
    finally:
        staged.unlink(missing_ok=True)
    advice = (
        "no mirror holds this version any more: set DEBIAN_SNAPSHOT to a snapshot archive, or renew the locks with "
        "make lock"
        if gone
        else "check the network and DEBIAN_MIRROR, or set DEBIAN_SNAPSHOT to a snapshot archive"
    )
    raise ImageError(f"{who}: {'; '.join(problems)}; {advice}")
