"""Where packages come from: the machine's own apt sources, or what the environment names. No address stands here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from images.errors import ImageError

ARCHIVES = ("debian", "debian-security")
_APT = Path("/etc/apt")


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Base addresses by archive, and a snapshot archive's base address if one is known."""

    bases: Mapping[str, str]
    snapshot: str = ""

    def url(self, archive: str, path: str, timestamp: str) -> list[str]:
        """Addresses of a path of an archive to try, in order; ``timestamp`` is as snapshot archives write it."""
        found = [f"{self.bases[archive]}/{path}"] if archive in self.bases else []
        if self.snapshot and timestamp:
            found.append(f"{self.snapshot}/archive/{archive}/{timestamp}/{path}")
        return found


def mirrors(environ: Mapping[str, str], apt: Path = _APT) -> Mirrors:
    """``DEBIAN_MIRROR`` (and ``DEBIAN_SECURITY_MIRROR``), else the machine's apt sources; ``DEBIAN_SNAPSHOT`` behind.

    Raises:
        ImageError: none of them says where packages are.
    """
    bases: dict[str, str] = {}
    if given := environ.get("DEBIAN_MIRROR", "").rstrip("/"):
        bases["debian"] = given
        derived = re.sub(r"/debian$", "/debian-security", given)
        bases["debian-security"] = environ.get("DEBIAN_SECURITY_MIRROR", derived).rstrip("/")
    else:
        for address in _addresses(apt):
            name = address.rstrip("/").rsplit("/", 1)[-1]
            if name in ARCHIVES:
                bases.setdefault(name, address.rstrip("/"))
    snapshot = environ.get("DEBIAN_SNAPSHOT", "").rstrip("/")
    if not bases and not snapshot:
        raise ImageError(
            "no mirror of Debian is known: this machine has no Debian apt sources; set DEBIAN_MIRROR to the address of "
            "an archive (it ends in /debian), or DEBIAN_SNAPSHOT to that of a snapshot archive"
        )
    return Mirrors(bases, snapshot)


def _addresses(apt: Path) -> Iterator[str]:
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        for line in _text(path).splitlines():
            if found := re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)", line.strip()):
                yield found[1]
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", _text(path)):
            if re.search(r"^Enabled:\s*no", stanza, re.M | re.I):
                continue
            for line in re.findall(r"^URIs:\s*(.+)$", stanza, re.M):
                yield from line.split()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
