"""Work in a thread that nobody has to wait for: a wait for the network cannot be broken off, but it can be left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def left_behind(work: Callable[[], T]) -> T:
    """The answer of ``work``, done in a thread of its own; if this is cancelled, the thread goes on by itself and what
    it gives is lost. It ends with the process at the latest."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)  # type: ignore[arg-type]

    def body() -> None:
        value, error = None, None
        try:
            value = work()
        except BaseException as problem:
            error = problem
        with suppress(RuntimeError):  # The loop is closed: the session has ended meanwhile.
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=body, name="left-behind", daemon=True).start()
    return await answer
