"""The embedded engine: Dagger's session protocol on one Linux machine, with no daemon and no root."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.events import Event

if TYPE_CHECKING:
    from engine.session.serve import Session

__all__ = ["Event", "serve"]


def serve(on_event: Callable[[Event], None] | None = None) -> Session:
    """A session to be used as a context manager; its ``environment`` is what a Dagger SDK reads, from the start.

    Raises:
        engine.errors.EngineError: this machine cannot run steps, or the store cannot be opened.
    """
    from engine.session.serve import Session

    return Session(on_event or (lambda event: None))
