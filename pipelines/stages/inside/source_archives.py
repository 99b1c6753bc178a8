"""``python3 source_archives.py FOLDER SOURCES LISTED``: unpack source archives, each into a folder of a fixed name, and list them.

A compiler may write the folder that it worked in into what it makes, so that folder must not depend on chance.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from pathlib import Path


def main(folder: Path, sources: Path, listed: Path) -> None:
    found = []
    for archive in sorted(folder.glob("*.tar.gz")):
        name, _, version = archive.name.removesuffix(".tar.gz").rpartition("-")
        sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
        found.append({"name": name, "version": version, "file": archive.name, "sha256": sha256})
        with tarfile.open(archive) as tar:
            tar.extractall(sources, filter="data")
    listed.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:]))
