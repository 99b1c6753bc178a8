"""The event loop of the matcher's and the projector's process: uvloop, or asyncio's own on platforms for which it has no wheel."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

try:
    import uvloop
except ModuleNotFoundError:
    uvloop = None  # type: ignore[assignment]

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of its own to its end."""
    return uvloop.run(main) if uvloop else asyncio.run(main)
