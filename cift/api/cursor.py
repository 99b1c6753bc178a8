"""Cursors of lists: opaque to clients, an id inside."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from cift.errors import InvalidInput

Cursor = Annotated[
    str | None, Query(max_length=20, pattern=r"^[0-9a-f]{1,16}$", description="`next_cursor` of the page before.")
]
_NEWEST = 2**63 - 1


def cursor(text: str | None) -> int:
    """The id that a page's items lie below."""
    value = _NEWEST if text is None else int(text, 16)
    if value > _NEWEST:
        raise InvalidInput("before: is no cursor of this venue")
    return value


def following(last: int | None) -> str | None:
    return None if last is None else f"{last:x}"
