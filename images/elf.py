"""Which processor the programs of a tree are for, from the first bytes of each (ELF, gABI chapter 4)."""

from __future__ import annotations

import struct

HEADER = 64
"""Bytes that tell the machine."""
_PROGRAM, _LIBRARY = 2, 3
_INTERPRETER = 3

Machine = tuple[int, int]
"""Class in bits (32 or 64) and ``e_machine``."""


def machine(start: bytes) -> Machine | None:
    """The machine of a program or shared library by its first 64 bytes; None for anything else.

    Object files are not looked at: they are data of a compiler, for whatever it compiles for.
    """
    if len(start) < HEADER or start[:4] != b"\x7fELF" or start[4] not in (1, 2) or start[5] not in (1, 2):
        return None
    kind, found = struct.unpack_from("<HH" if start[5] == 1 else ">HH", start, 16)
    return (32 * start[4], found) if kind in (_PROGRAM, _LIBRARY) else None


def is_program(start: bytes) -> bool:
    """Whether a file is started by itself, by its first 4096 bytes: it has a fixed address, or names an interpreter."""
    if machine(start) is None:
        return False
    order = "<" if start[5] == 1 else ">"
    if struct.unpack_from(order + "H", start, 16)[0] == _PROGRAM:
        return True
    wide = start[4] == 2
    (offset,) = struct.unpack_from(order + ("Q" if wide else "I"), start, 32 if wide else 28)
    size, number = struct.unpack_from(order + "HH", start, 54 if wide else 42)
    places = (offset + size * each for each in range(number))
    return any(struct.unpack_from(order + "I", start, at)[0] == _INTERPRETER for at in places if at + 4 <= len(start))
