"""A finished image as data: what its layers leave when they are applied in order. Nouns only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Layer:
    """``name`` is what the image's history calls it."""

    name: str
    digest: str
    diff_id: str


@dataclass(frozen=True, slots=True)
class File:
    """A regular file (``digest`` is ``sha256:…``) or a link (``link`` is where to); ``layer`` counts from 0.

    ``path`` is relative to the image's root.
    """

    path: str
    layer: int
    digest: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """An image: its manifest's digest, its configuration, and all its files and links by path.

    ``texts`` holds the bytes of the files that :func:`wanted` names, ``crates`` what a program says of the crates that
    it was compiled from (its ``.dep-v0`` section, as :mod:`sbom.crates` reads it).
    """

    digest: str
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]
    files: Mapping[str, File]
    texts: Mapping[str, bytes]
    crates: Mapping[str, bytes]


PATTERN = (
    r"var/lib/dpkg/status(\.d/[^/]+)?"
    r"|var/lib/dpkg/info/[^/]+\.list"
    r"|usr/share/doc/[^/]+/copyright"
    r"|(etc|usr/lib)/os-release"
    r"|.*\.modelcard\.json"
    r"|.*\.dist-info/(METADATA|RECORD|entry_points\.txt|sboms/[^/]+\.json)"
)
_WANTED = re.compile(PATTERN)


def wanted(path: str, layer: str) -> bool:
    """Whether the bytes of a file are needed to say what is in an image."""
    return bool(_WANTED.fullmatch(path)) or (layer == APPLICATION and path.endswith(".py"))


#: The name of the layer that holds the application's own files.
APPLICATION = "application"
_MAX_LINKS = 40


def resolve(path: str, files: Mapping[str, File]) -> str:
    """A path with the links of its folders followed, as inside the image; the last part itself is not followed."""
    folder, _, name = path.strip("/").rpartition("/")
    pending, parts, links = list(reversed(folder.split("/"))) if folder else [], list[str](), 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            parts = parts[:-1]
            continue
        found = files.get("/".join((*parts, part)))
        if found is None or not found.link:
            parts.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return path.strip("/")
        parts = [] if found.link.startswith("/") else parts
        pending += reversed(found.link.split("/"))
    return "/".join((*parts, name))
