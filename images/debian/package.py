"""What is known of Debian packages and releases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from images.debian.control import Relation
from images.digest import Digest
from images.errors import ImageError

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")
ARCHIVES = ("debian", "debian-security")


@dataclass(frozen=True, order=True)
class Package:
    """One binary package of an archive: `size` in bytes, `sha256` in hex, `path` relative to the archive."""

    name: str
    version: str
    architecture: str
    archive: str
    size: int
    sha256: str
    path: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ImageError(f"{self.name!r} is no Debian package name")
        if self.archive not in ARCHIVES:
            raise ImageError(f"package {self.name}: archive {self.archive!r} is not one of {', '.join(ARCHIVES)}")
        pure = PurePosixPath(self.path)
        if pure.is_absolute() or ".." in pure.parts or not self.path.endswith(".deb") or " " in self.path:
            raise ImageError(f"package {self.name}: path {self.path!r} is no relative path of a .deb")
        if self.size <= 0:
            raise ImageError(f"package {self.name}: size {self.size} is not positive")
        Digest(self.sha256)  # refuses what is no digest


@dataclass(frozen=True, order=True)
class Index:
    """A signed index that packages were chosen from.

    `timestamp` is the Release's date as snapshot archives write it (UTC); `release` and `index` are the SHA-256 (hex)
    of InRelease and of Packages.xz.
    """

    archive: str
    suite: str
    timestamp: str
    release: str
    index: str
    architecture: str

    def __post_init__(self) -> None:
        if self.archive not in ARCHIVES:
            raise ImageError(f"suite {self.suite}: archive {self.archive!r} is not one of {', '.join(ARCHIVES)}")
        if not _TIMESTAMP.fullmatch(self.timestamp):
            raise ImageError(f"suite {self.suite}: timestamp {self.timestamp!r} is not YYYYMMDDTHHMMSSZ")
        Digest(self.release)
        Digest(self.index)


@dataclass(frozen=True)
class Candidate:
    """A package as an index offers it, with the relations that a resolver needs."""

    package: Package
    depends: tuple[tuple[Relation, ...], ...] = ()
    provides: tuple[Relation, ...] = ()
    conflicts: tuple[Relation, ...] = ()
