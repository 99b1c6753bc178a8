"""A Debian archive of a test's own: an index, a Release that signs it, and a key that nobody else has."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
from pathlib import Path

HASH = "ab" * 32
PACKAGES = lzma.compress(
    f"Package: aa\nVersion: 1\nArchitecture: amd64\nSize: 1\nSHA256: {HASH}\nFilename: p/a.deb\n".encode()
)


def release_text(
    packages: bytes = PACKAGES, codename: str = "trixie", until: str = "Sat, 10 Jan 2026 00:00:00 UTC"
) -> str:
    digest = hashlib.sha256(packages).hexdigest()
    return (
        f"Codename: {codename}\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nValid-Until: {until}\nSHA256:\n"
        f" {digest} {len(packages)} main/binary-amd64/Packages.xz\n"
    )


def sign(home: Path, text: str) -> bytes:
    command = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--pinentry-mode",
        "loopback",
        "--clearsign",
    ]
    return subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout
