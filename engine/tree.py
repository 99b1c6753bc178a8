"""File trees as values: an entry names a file, a link or a directory, and a directory's node lists its entries.

A directory has two digests. ``ref`` covers everything, times included, and names the node in the store; ``key``
covers what a step can depend on, which leaves times out unless they were set on purpose (``pinned``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["f", "l", "d"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file (``ref``: SHA-256 of its bytes), a link (``ref``: target) or a directory (``ref``: its node)."""

    kind: Kind
    ref: str
    key: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    pinned: bool = False

    def row(self, name: str) -> list[object]:
        return [
            name,
            self.kind,
            self.ref,
            self.key,
            self.mode,
            self.uid,
            self.gid,
            self.mtime,
            self.size,
            int(self.pinned),
        ]

    def essence(self, name: str) -> list[object]:
        """The row without what does not count for a step."""
        when = self.mtime if self.pinned else None
        return [name, self.kind, self.key, self.mode, self.uid, self.gid, when]


Node = dict[str, Entry]
#: Seconds since 1970 of what the engine itself writes, where nobody asked for a time.
BEGINNING = 1_000_000_000


def file_entry(digest: str, size: int, mode: int = 0o644, uid: int = 0, gid: int = 0, mtime: int = 0) -> Entry:
    return Entry("f", digest, digest, mode, uid, gid, mtime or BEGINNING * 10**9, size)


def link_entry(target: str, uid: int = 0, gid: int = 0, mtime: int = 0) -> Entry:
    return Entry("l", target, target, 0o777, uid, gid, mtime or BEGINNING * 10**9, len(target))


def encode(node: Node) -> tuple[str, str, bytes]:
    """``(ref, key, bytes)`` of a node."""
    names = sorted(node)
    data = json.dumps([node[name].row(name) for name in names], separators=(",", ":")).encode(
        "utf-8", "surrogateescape"
    )
    essence = json.dumps([node[name].essence(name) for name in names], separators=(",", ":")).encode(
        "utf-8", "surrogateescape"
    )
    return hashlib.sha256(data).hexdigest(), hashlib.sha256(essence).hexdigest(), data


def entry_of(row: list[Any]) -> Entry:
    """The entry of a row (``Entry.row``)."""
    return Entry(row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], bool(row[9]))


def decode(data: bytes) -> Node:
    return {row[0]: entry_of(row) for row in json.loads(data)}


def directory_entry(node: Node, like: Entry | None = None, mode: int = 0o755, mtime: int = 0) -> tuple[Entry, bytes]:
    """The entry of a directory with these entries, and the node's bytes to keep."""
    ref, key, data = encode(node)
    if like is not None and like.kind == "d":
        return replace(like, ref=ref, key=key), data
    return Entry("d", ref, key, mode, 0, 0, mtime or BEGINNING * 10**9), data


EMPTY_NODE = encode({})
EMPTY = Entry("d", EMPTY_NODE[0], EMPTY_NODE[1], 0o755, 0, 0, BEGINNING * 10**9)


def content_key(entry: Entry) -> str:
    """The digest that stands for a tree or file in the key of a step."""
    return hashlib.sha256(json.dumps(entry.essence("")).encode()).hexdigest()
