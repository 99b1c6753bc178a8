"""What was read of a layer, kept by the layer's digest: an edit of code does not read gigabytes below it again.

A layer's bytes are still compared with their digest each time; what is spared is to unpack them. `verify` does not use this:
it believes nothing that was written before.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sbom import contents, crates
from sbom.contents import File

#: Of how a layer is read: another number, and nothing that was kept is used.
_FORM = 1
_KEPT_SECONDS = 30 * 86400
Entries = list[tuple[str, File | None]]
Texts = dict[str, bytes]


def folder() -> Path:
    """Where they lie: the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "pipelines-listings"


def _place(folder: Path, digest: str, name: str) -> Path:
    asked = json.dumps([_FORM, contents.PATTERN, crates.SECTION.decode(), digest, name == contents.APPLICATION])
    return folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"


def load(folder: Path, digest: str, name: str) -> tuple[Entries, Texts, Texts] | None:
    """Entries, texts and crates of a layer; None where they are not known, or damaged."""
    place = _place(folder, digest, name)
    try:
        value: dict[str, Any] = json.loads(place.read_bytes())
        body = value["body"]
        if hashlib.sha256(_encoded(body)).hexdigest() != value["sha256"]:
            return None
        entries = [(row[0], File(row[0], 0, row[1], row[2]) if len(row) > 1 else None) for row in body["entries"]]
        texts, programs = (
            {path: base64.b64decode(data) for path, data in body[kind].items()} for kind in ("texts", "crates")
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    with suppress(OSError):
        os.utime(place)
    return entries, texts, programs


def save(folder: Path, digest: str, name: str, entries: Entries, texts: Texts, programs: Texts) -> None:
    """Keep what was read; a disk that is full is no reason to fail. What nobody has asked for in a month goes."""
    body = {
        "entries": [[path] if file is None else [path, file.digest, file.link] for path, file in entries],
        "texts": {path: base64.b64encode(data).decode() for path, data in texts.items()},
        "crates": {path: base64.b64encode(data).decode() for path, data in programs.items()},
    }
    data = json.dumps({"body": body, "sha256": hashlib.sha256(_encoded(body)).hexdigest()}).encode()
    place = _place(folder, digest, name)
    with suppress(OSError, UnicodeEncodeError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        staged = place.with_suffix(f".{os.getpid()}")
        staged.write_bytes(data)
        staged.replace(place)
        for old in folder.iterdir():
            if old.stat().st_mtime < time.time() - _KEPT_SECONDS:
                old.unlink(missing_ok=True)


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True).encode()
