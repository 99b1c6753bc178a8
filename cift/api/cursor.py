"""Cursors of lists: opaque to clients, an id inside."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Cursor = Annotated[
    str | None, Query(pattern=r"^[0-7]?[0-9a-f]{1,15}$", description="`next_cursor` of the page before.")
]
_NEWEST = 2**63 - 1


def cursor(text: str | None) -> int:
    """The id that a page's items lie below."""
    return _NEWEST if text is None else int(text, 16)


def following(last: int | None) -> str | None:
    return None if last is None else f"{last:x}"
