"""Comparing versions of Debian packages (deb-version(7))."""

from __future__ import annotations

import re
from functools import total_ordering


def _order(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256


def _parts(text: str) -> list[tuple[list[int], int]]:
    found = re.findall(r"(\D*)(\d*)", text)
    return [([_order(c) for c in letters] + [0], int(digits or 0)) for letters, digits in found]


@total_ordering
class Version:
    """A version that compares as dpkg compares."""

    def __init__(self, text: str) -> None:
        self.text = text
        epoch, found, rest = text.partition(":")
        if not found:
            epoch, rest = "0", text
        upstream, found, revision = rest.rpartition("-")
        if not found:
            upstream, revision = rest, "0"
        self._key = (int(epoch), _parts(upstream), _parts(revision))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self.text)
