"""A session: a socket on loopback, a token, and an event loop in a thread that answers.

A program starts as soon as there is a socket: what is needed besides is imported and opened while it does its own imports.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from engine import home
from engine.errors import EngineError
from engine.events import Event

if TYPE_CHECKING:
    import asyncio

    from engine.store import Store


class Session:
    """A session that is served while its context is entered; who connects before that waits."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        home.make(home.default_root())
        self.token = os.urandom(16).hex()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._socket.getsockname()[1]
        self._on_event = on_event
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._bounds = home.bounds()
        self._store: Store | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a Dagger SDK reads to find the session."""
        return {"DAGGER_SESSION_PORT": str(self.port), "DAGGER_SESSION_TOKEN": self.token}

    def __enter__(self) -> Self:
        try:
            from engine.store import Store

            self._store = Store()
            self._thread = threading.Thread(target=self._main, args=[self._store], name="engine", daemon=True)
            self._thread.start()
            self._ready.wait()
            if self._problem is not None:
                raise EngineError(f"the session could not be started: {self._problem}")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        assert self._thread is not None and self._store is not None
        self._thread.join(timeout=30)
        # A store that is damaged or gone has told so where it was used: whether it is too large is no matter then.
        with suppress(EngineError, OSError):
            from engine import upkeep

            upkeep.tidy(self._store, self._bounds)
        self.close()

    def close(self) -> None:
        """The end of a session that was not entered, or was left."""
        self._socket.close()
        if self._store is not None:
            self._store.close()

    def _main(self, store: Store) -> None:
        import asyncio

        try:
            asyncio.run(self._serve(store))
        except BaseException as error:
            self._problem = error
            self._ready.set()

    async def _serve(self, store: Store) -> None:
        import asyncio

        from engine.api import RESOLVERS
        from engine.process import close_on_exec
        from engine.services import stop_all
        from engine.session.answer import Answers
        from engine.session.door import Door
        from engine.session.execute import Context
        from engine.session.plan import Schema
        from engine.session.surface import surface, version
        from engine.solve import Solver

        close_on_exec()
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        solver = Solver(store, self._on_event)
        schema = Schema(surface(store.root), RESOLVERS)
        answers = Answers(schema, Context(solver, {}, "v" + version()))
        server = await asyncio.start_server(Door(answers, self.token).accept, sock=self._socket, limit=1 << 20)
        self._ready.set()
        await self._stop.wait()
        server.close()
        await stop_all(solver)
        await solver.network.close()
        others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
