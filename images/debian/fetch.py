"""Downloading a locked package; nothing that does not match its digest is ever used."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from images.debian import release
from images.debian.lock import Lock, Package
from images.debian.mirror import Mirrors
from images.errors import ImageError


def fetch(package: Package, lock: Lock, mirrors: Mirrors, folder: Path) -> Path:
    """The package's file in a folder, from there if it is intact, else from a mirror.

    Raises:
        ImageError: it cannot be had, or is not the one that is locked.
    """
    path = folder / f"{package.sha256}.deb"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256:
        return path
    try:
        data = release.fetch(mirrors, package.archive, package.path, lock.timestamp(package.archive))
    except ImageError as error:
        raise ImageError(
            f"package {package.name} {package.version} of root {lock.root}: {error}; check the network, set "
            "DEBIAN_SNAPSHOT to a snapshot archive, or renew the locks with make lock"
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != package.sha256:
        raise ImageError(
            f"package {package.name} {package.version} of root {lock.root} has digest sha256:{found}, but the lock says "
            f"sha256:{package.sha256}: the mirror or the lock was changed; nothing of it is used"
        )
    folder.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_bytes(data)
    staged.replace(path)
    return path
