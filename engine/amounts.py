"""Sizes and ages as people write them."""

from __future__ import annotations

import re

from engine.errors import EngineError

_SIZES = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_TIMES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def size_of(text: str) -> int:
    """Bytes of ``500MB``, ``2GiB``, ``1.5g`` or a plain number.

    Raises:
        EngineError: it is none of these.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", text.strip().lower())
    if found is None:
        raise EngineError(f"{text!r} is not a size: 500MB, 20GB or 2GiB is one")
    return int(float(found[1]) * _SIZES[found[2] or ""])


def seconds_of(text: str) -> float:
    """Seconds of ``90s``, ``30m``, ``12h``, ``7d`` or ``2w``; a plain number is days.

    Raises:
        EngineError: it is none of these.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text.strip().lower())
    if found is None:
        raise EngineError(f"{text!r} is not an age: 90s, 30m, 12h, 7d or 2w is one")
    return float(found[1]) * _TIMES[found[2] or "d"]
