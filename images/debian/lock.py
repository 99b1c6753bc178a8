"""Lock files of roots: sorted text, one package a line, made to be reviewed.

    # root distroless: …
    archive debian trixie 20261121T091544Z release sha256:… index sha256:… amd64
    package NAME VERSION ARCHITECTURE ARCHIVE SIZE sha256:… PATH

`write(parse(text))` is the text again, byte for byte. There is one file an architecture, so that what one image stands on
is never mixed with what another does: `NAME.lock` of amd64, `NAME.arm64.lock` and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from images.debian.package import Index, Package
from images.digest import Digest
from images.errors import ImageError

__all__ = ["Index", "Lock", "Package", "parse", "read", "write"]


@dataclass(frozen=True, slots=True)
class Lock:
    """A root's packages, and the indexes they come from."""

    root: str
    indexes: tuple[Index, ...]
    packages: tuple[Package, ...]

    def timestamp(self, archive: str) -> str:
        """The latest time at which an archive was read, as snapshot archives write it; empty if it was not."""
        return max((each.timestamp for each in self.indexes if each.archive == archive), default="")

    def package(self, name: str) -> Package:
        """The package of this name; raises ImageError if the root has none."""
        for package in self.packages:
            if package.name == name:
                return package
        raise ImageError(f"the lock of root {self.root} has no package {name}")


def write(lock: Lock) -> str:
    """The text of a lock."""
    lines = [f"# root {lock.root}: written by `make lock`, read by `make build`; never edited by hand"]
    lines += sorted(
        f"archive {each.archive} {each.suite} {each.timestamp} release sha256:{each.release} index sha256:{each.index} "
        f"{each.architecture}"
        for each in lock.indexes
    )
    lines += [
        f"package {each.name} {each.version} {each.architecture} {each.archive} {each.size} sha256:{each.sha256} "
        f"{each.path}"
        for each in sorted(lock.packages, key=_order)
    ]
    return "\n".join(lines) + "\n"


def parse(text: str, name: str) -> Lock:
    """A lock from its text; raises ImageError naming file and line for a line that is not one of a lock."""
    root = ""
    indexes: list[Index] = []
    packages: list[Package] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            match line.split(" "):
                case ["#", "root", title, *_]:
                    root = title.rstrip(":")
                case [""] | ["#", *_]:
                    continue
                case ["archive", archive, suite, stamp, "release", release, "index", index, architecture]:
                    hashes = Digest.parse(release).hex, Digest.parse(index).hex
                    indexes.append(Index(archive, suite, stamp, *hashes, architecture))
                case ["package", title, version, architecture, archive, size, digest, path]:
                    hexes = Digest.parse(digest).hex
                    package = Package(title, version, architecture, archive, int(size), hexes, path)
                    _check(package, indexes, packages)
                    packages.append(package)
                case _:
                    raise ImageError(f"{line[:60]!r} is neither an archive nor a package")
        except (ImageError, ValueError) as error:
            raise ImageError(f"{name}:{number}: not a line of a lock: {error}; run make lock") from None
    if not root or not packages:
        raise ImageError(f"{name}: not a lock of a root; run make lock")
    return Lock(root, tuple(indexes), tuple(packages))


def _order(package: Package) -> tuple[str, str]:
    return package.name, package.architecture


def _check(package: Package, indexes: list[Index], before: list[Package]) -> None:
    """Refuse what a hand or a merge can break: an archive without index, a wrong order, a package twice."""
    if package.archive not in {each.archive for each in indexes}:
        raise ImageError(f"package {package.name} comes from {package.archive}, of which no index is named above")
    if package.architecture not in {"all", *(each.architecture for each in indexes)}:
        raise ImageError(f"package {package.name} is for {package.architecture}, of which no index is named above")
    if before and _order(before[-1]) >= _order(package):
        raise ImageError(f"package {package.name} follows {before[-1].name}: lines are sorted and unique")


def read(path: Path) -> Lock:
    """The lock at a path; raises ImageError if it is not there or not a lock."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{path}: cannot be read: {error}; run make lock") from None
    return parse(text, path.name)
