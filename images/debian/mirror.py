"""Where Debian packages come from: the environment, the machine's apt sources, or a snapshot archive.

DEBIAN_MIRROR           base address of the archive `debian`
DEBIAN_SECURITY_MIRROR  base address of `debian-security`; derived from DEBIAN_MIRROR where that ends in /debian
DEBIAN_SNAPSHOT         base address of a snapshot archive, tried after the mirror
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from images.debian.control import stanzas
from images.debian.package import ARCHIVES
from images.errors import ImageError

APT = Path("/etc/apt")
_TIMESTAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Mirrors:
    """Base addresses, in order of preference: `archives` holds pairs of archive name and address."""

    archives: tuple[tuple[str, str], ...]
    snapshot: str = ""

    def url(self, archive: str, path: str, timestamp: str) -> list[str]:
        """The addresses of a file of an archive, first choice first. Raises ImageError if there is none."""
        found = [f"{base}/{path}" for name, base in self.archives if name == archive]
        if self.snapshot:
            # A snapshot is taken some hours after the Release was dated, and a request answers with the last one
            # before it: so the day after is asked too.
            taken = datetime.datetime.strptime(timestamp, _TIMESTAMP)
            later = (taken + datetime.timedelta(days=1)).strftime(_TIMESTAMP)
            found += [f"{self.snapshot}/archive/{archive}/{when}/{path}" for when in (timestamp, later)]
        if not found:
            raise ImageError(f"no mirror of archive {archive} is known: set {_variable(archive)} or DEBIAN_SNAPSHOT")
        return found


def _variable(archive: str) -> str:
    return "DEBIAN_MIRROR" if archive == "debian" else "DEBIAN_SECURITY_MIRROR"


def mirrors(environ: Mapping[str, str], apt: Path = APT) -> Mirrors:
    """The mirrors that the environment, else the apt configuration in `apt`, names.

    Raises ImageError where there is neither a mirror nor a snapshot archive.
    """
    main = environ.get("DEBIAN_MIRROR", "").rstrip("/")
    security = environ.get("DEBIAN_SECURITY_MIRROR", "").rstrip("/")
    snapshot = environ.get("DEBIAN_SNAPSHOT", "").rstrip("/")
    found = [("debian", main)] if main else []
    if security:
        found.append(("debian-security", security))
    if not main:
        configured = sources(apt)
        found += [pair for pair in configured if not (security and pair[0] == "debian-security")]
    names = {name for name, _ in found}
    if "debian-security" not in names:
        found += [
            ("debian-security", base + "-security")
            for name, base in found
            if name == "debian" and base.endswith("/debian")
        ]
    if not found and not snapshot:
        raise ImageError(
            "no Debian mirror is known: this machine's apt sources name none; set DEBIAN_MIRROR to the base address of "
            "an archive (…/debian), or DEBIAN_SNAPSHOT to that of a snapshot archive"
        )
    return Mirrors(tuple(dict.fromkeys(found)), snapshot)


def sources(apt: Path) -> list[tuple[str, str]]:
    """Archives named by the apt configuration in this folder (sources.list(5)); what is disabled does not count."""
    found: list[tuple[str, str]] = []
    folder = apt / "sources.list.d"
    files = [apt / "sources.list", *(sorted(folder.iterdir()) if folder.is_dir() else [])]
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        if file.suffix == ".list":
            uris = _one_line(text)
        elif file.suffix == ".sources":
            uris = _deb822(text, str(file))
        else:
            continue
        for uri in uris:
            base = uri.rstrip("/")
            name = base.rpartition("/")[2]
            if name in ARCHIVES and base.startswith(("http://", "https://")) and (name, base) not in found:
                found.append((name, base))
    return found


def _one_line(text: str) -> Iterator[str]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        rest = words[1:]
        if rest and rest[0].startswith("["):  # options: [ arch=amd64 signed-by=… ]
            while rest and not rest[0].endswith("]"):
                rest.pop(0)
            rest = rest[1:]
        yield from rest[:1]


def _deb822(text: str, where: str) -> Iterator[str]:
    for stanza in stanzas(text, where):
        enabled = stanza.get("enabled", "yes").lower() not in ("no", "false", "without", "off", "disable", "0")
        if enabled and "deb" in stanza.get("types", "").split():
            yield from stanza.get("uris", "").split()
