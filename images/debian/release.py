"""Indexes of an archive, believed only as far as their OpenPGP signature reaches."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from images.debian.mirror import Mirrors
from images.errors import ImageError

KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)


@dataclass(frozen=True, slots=True)
class Release:
    """A suite of an archive at a time, its signature checked."""

    archive: str
    suite: str
    timestamp: str
    sha256: str
    hashes: dict[str, tuple[str, int]]


def fetch(mirrors: Mirrors, archive: str, path: str, timestamp: str = "") -> bytes:
    """The bytes of a path of an archive.

    Raises:
        ImageError: no mirror has it, or none can be reached.
    """
    problems = []
    for address in mirrors.url(archive, path, timestamp):
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                data: bytes = answer.read()
                return data
        except (urllib.error.URLError, OSError) as error:
            problems.append(str(getattr(error, "reason", error)))
    raise ImageError(f"{archive}: {path} cannot be fetched: {'; '.join(problems) or 'no mirror is known for it'}")


def keyring() -> Path:
    for name in (os.environ.get("DEBIAN_KEYRING", ""), *KEYRINGS):
        if name and Path(name).is_file():
            return Path(name)
    raise ImageError("no keyring of Debian's archive: install debian-archive-keyring, or set DEBIAN_KEYRING to one")


def signed_text(data: bytes, name: str) -> str:
    """The text under a clear signature that a key of the keyring made.

    Raises:
        ImageError: the signature is missing or bad, or there is no gpgv.
    """
    program = shutil.which("gpgv")
    if program is None:
        raise ImageError("gpgv is needed to check the archive's signature: install it (Debian package gpgv)")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.write_bytes(data)
        done = subprocess.run(
            [program, "--keyring", str(keyring()), "--output", str(target), str(source)],
            capture_output=True, check=False,
        )
        if done.returncode or not target.is_file():
            raise ImageError(
                f"the signature of {name} is not good: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}; "
                "the mirror or the way to it changed it: nothing of it is used"
            )
        return target.read_text()


def read_release(mirrors: Mirrors, archive: str, suite: str, now: float | None = None) -> Release:
    """A suite's signed index of indexes.

    Raises:
        ImageError: not to be had, badly signed, or past its ``Valid-Until``.
    """
    name = f"dists/{suite}/InRelease"
    data = fetch(mirrors, archive, name)
    text = signed_text(data, f"{archive} {name}")
    fields = dict(re.findall(r"^([A-Za-z-]+): (.+)$", text, re.M))
    until = fields.get("Valid-Until")
    if until and parsedate_to_datetime(until).timestamp() < (time.time() if now is None else now):
        raise ImageError(f"{archive} {name} was valid until {until}: the mirror is out of date")
    section = text.split("\nSHA256:\n", 1)
    if len(section) != 2:
        raise ImageError(f"{archive} {name} lists no SHA-256 digests")
    hashes = {}
    for line in section[1].splitlines():
        if not line.startswith(" "):
            break
        digest, size, path = line.split()
        hashes[path] = (digest, int(size))
    stamp = parsedate_to_datetime(fields["Date"]).strftime("%Y%m%dT%H%M%SZ")
    return Release(archive, suite, stamp, hashlib.sha256(data).hexdigest(), hashes)


def read_packages(mirrors: Mirrors, release: Release, architecture: str) -> tuple[str, str]:
    """``(text, SHA-256)`` of a suite's index of packages for an architecture.

    Raises:
        ImageError: it is not the index that the release signed, by name and by hash.
    """
    path = f"main/binary-{architecture}/Packages.xz"
    if path not in release.hashes:
        raise ImageError(f"{release.archive} {release.suite} has no index for {architecture}")
    digest, size = release.hashes[path]
    for name in (f"main/binary-{architecture}/by-hash/SHA256/{digest}", path):
        data = fetch(mirrors, release.archive, f"dists/{release.suite}/{name}")
        if len(data) == size and hashlib.sha256(data).hexdigest() == digest:
            return lzma.decompress(data).decode(), digest
    raise ImageError(
        f"{release.archive} {release.suite}: the index for {architecture} is not the one that the signed Release names "
        f"(sha256 {digest}); the mirror may be in the middle of an update: try again later"
    )
