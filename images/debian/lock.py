"""Lock files of roots: sorted text, one package a line, made to be reviewed.

    # root distroless
    archive debian trixie 20261121T091544Z release sha256:… index sha256:… amd64
    package NAME VERSION ARCHITECTURE ARCHIVE SIZE sha256:… PATH
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from images.errors import ImageError

_SHA256 = re.compile(r"sha256:([0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Index:
    """A signed index that packages were chosen from."""

    archive: str
    suite: str
    timestamp: str
    release: str
    index: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Package:
    """A package pinned by version and digest; ``size`` in bytes, ``path`` relative to its archive."""

    name: str
    version: str
    architecture: str
    archive: str
    size: int
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class Lock:
    """A root's packages for an architecture, and the indexes they come from."""

    root: str
    indexes: tuple[Index, ...]
    packages: tuple[Package, ...]

    def timestamp(self, archive: str) -> str:
        """The latest time at which an archive was read, as snapshot archives write it."""
        return max((i.timestamp for i in self.indexes if i.archive == archive), default="")

    def package(self, name: str) -> Package:
        for package in self.packages:
            if package.name == name:
                return package
        raise ImageError(f"the lock of root {self.root} has no package {name}")


def write(lock: Lock) -> str:
    """The text of a lock."""
    lines = [f"# root {lock.root}: written by `make lock`, read by `make build`; never edited by hand"]
    lines += sorted(
        f"archive {i.archive} {i.suite} {i.timestamp} release sha256:{i.release} index sha256:{i.index} {i.architecture}"
        for i in lock.indexes
    )
    lines += [
        f"package {p.name} {p.version} {p.architecture} {p.archive} {p.size} sha256:{p.sha256} {p.path}"
        for p in sorted(lock.packages, key=lambda p: (p.name, p.architecture))
    ]
    return "\n".join(lines) + "\n"


def parse(text: str, name: str) -> Lock:
    """A lock from its text.

    Raises:
        ImageError: a line that is not one of a lock; it names file and line.
    """
    root, indexes, packages = "", [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        try:
            if line.startswith("# root "):
                root = words[2].rstrip(":")
            elif not words or line.startswith("#"):
                continue
            elif words[0] == "archive":
                _, archive, suite, stamp, _, release, _, index, architecture = words
                indexes.append(Index(archive, suite, stamp, _digest(release), _digest(index), architecture))
            elif words[0] == "package":
                _, package, version, architecture, archive, size, digest, path = words
                if path.startswith("/") or ".." in path.split("/"):
                    raise ValueError("the path leaves the archive")
                packages.append(Package(package, version, architecture, archive, int(size), _digest(digest), path))
            else:
                raise ValueError(f"{words[0]!r} is neither archive nor package")
        except ValueError as error:
            raise ImageError(f"{name}:{number}: not a line of a lock: {error}; run make lock") from None
    if not root or not packages:
        raise ImageError(f"{name}: not a lock of a root; run make lock")
    return Lock(root, tuple(indexes), tuple(packages))


def _digest(text: str) -> str:
    found = _SHA256.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a sha256 digest")
    return found[1]


def read(path: Path) -> Lock:
    """The lock at a path.

    Raises:
        ImageError: it is not there or not a lock.
    """
    try:
        return parse(path.read_text(), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{path}: cannot be read: {error}; run make lock") from None
