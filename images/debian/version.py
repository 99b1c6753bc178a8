"""Order of Debian versions: deb-version(7), Debian Policy 5.6.12."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from images.errors import ImageError

_VERSION = re.compile(r"(?:(\d+):)?([0-9][A-Za-z0-9.+~:-]*?)(?:-([A-Za-z0-9.+~]+))?")
_RELATIONS: dict[str, Callable[[int], bool]] = {
    "<<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    "=": lambda order: order == 0,
    ">=": lambda order: order >= 0,
    ">>": lambda order: order > 0,
}


@functools.lru_cache(maxsize=65536)
def _split(version: str) -> tuple[int, str, str]:
    """Epoch, upstream version, revision. A lone hyphen belongs to the revision: the last one splits."""
    if not _VERSION.fullmatch(version):
        raise ImageError(f"{version!r} is no Debian version (deb-version(7))")
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, hyphen, revision = rest.rpartition("-")
    return int(epoch), (upstream if hyphen else rest), (revision if hyphen else "")


def _weight(char: str) -> int:
    """Tilde before the end of a part (which weighs 0), letters before all that is neither."""
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256


def _compare_part(left: str, right: str) -> int:
    i = j = 0
    while i < len(left) or j < len(right):
        while (i < len(left) and not left[i].isdigit()) or (j < len(right) and not right[j].isdigit()):
            a = _weight(left[i]) if i < len(left) and not left[i].isdigit() else 0
            b = _weight(right[j]) if j < len(right) and not right[j].isdigit() else 0
            if a != b:
                return -1 if a < b else 1
            i, j = i + 1, j + 1
        start_i, start_j = i, j
        while i < len(left) and left[i].isdigit():
            i += 1
        while j < len(right) and right[j].isdigit():
            j += 1
        a, b = int(left[start_i:i] or "0"), int(right[start_j:j] or "0")
        if a != b:
            return -1 if a < b else 1
    return 0


def compare(left: str, right: str) -> int:
    """-1, 0 or 1 as the left version is older than, equal to or newer than the right one."""
    a, b = _split(left), _split(right)
    if a[0] != b[0]:
        return -1 if a[0] < b[0] else 1
    return _compare_part(a[1], b[1]) or _compare_part(a[2], b[2])


key = functools.cmp_to_key(compare)
"""Key for `sorted` and `max` over versions."""


def satisfies(version: str, relation: str, wanted: str) -> bool:
    """Whether `version RELATION wanted` holds; raises ImageError for an unknown relation."""
    if relation not in _RELATIONS:
        raise ImageError(f"version relation {relation!r} is not one of {' '.join(_RELATIONS)}")
    return _RELATIONS[relation](compare(version, wanted))
