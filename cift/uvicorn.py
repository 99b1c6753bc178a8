"""``python -m cift.uvicorn``: uvicorn with its own options, but the application is loaded once, its workers are forked, and they drain.

Four workers that each import FastAPI take two cores for well over a second, and hold what they imported four times. Forked
ones begin with it, and a worker that dies is replaced in milliseconds. Only what is loaded before the fork may be shared: no
thread, socket or file of the application is open until a worker's lifespan begins.

On SIGTERM a worker goes on for CIFT_DRAIN seconds: it takes connections, answers, asks each client to close, and says over
/ready that it is going. Only then does uvicorn close what is left. The service has ended when matcher and projector have.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from importlib import import_module

import uvicorn._subprocess
import uvicorn.protocols.http.httptools_impl
import uvicorn.supervisors.multiprocess
from uvicorn.config import HTTP_PROTOCOLS, LOGGING_CONFIG, WS_PROTOCOLS
from uvicorn.main import main
from uvicorn.server import Server
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess, Process

from cift import logs
from cift.adapters.guard import Guard
from cift.connection import Cycle
from cift.settings import Settings, SettingsError

SEND_BUFFER = 64 << 10
"""Bytes that a client may leave unread in the kernel (which doubles it for its own needs)."""
SETTLE = 0.25
"""Seconds between the last connection that is taken and the first that is closed without a request."""
PATIENCE = 5.0
"""Seconds that the supervisor waits for the matcher and the projector once all workers have gone."""

log = logging.getLogger("cift.uvicorn")


class Worker(Server):
    """One worker, or the whole of uvicorn where there is only one."""

    parent: int | None = None
    """The supervisor's process, as it was when it forked this one: it may have been killed since."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                # Accepted sockets inherit it. The kernel would let one client that does not read hold megabytes, and hide that it lags.
                with socket.socket(fileno=os.dup(listening.fileno())) as same:
                    same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    async def on_tick(self, counter: int) -> bool:
        # A supervisor that was killed leaves nobody who would end or replace its workers, and their port taken.
        return await super().on_tick(counter) or self.parent not in (None, os.getppid())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state["draining"] = True
        # A client that reuses a connection sends its next request on a new one, so that none is under way when this one is closed.
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(Settings.of_environment().drain)
        await self._stop_listening(sockets or [])
        await asyncio.sleep(SETTLE)
        await super().shutdown(sockets)

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Close the listening sockets, but serve the clients whose connections the kernel has taken already: it would reset them."""
        names = [os.dup(listening.fileno()) for server in self.servers for listening in server.sockets]
        for server in self.servers:
            server.close()
        for listening in sockets:
            listening.close()
        await asyncio.sleep(0.01)  # uvloop closes its own a turn later
        waiting = []
        for name in names:
            with socket.socket(fileno=name) as last, suppress(BlockingIOError):
                last.setblocking(False)
                while True:
                    waiting.append(last.accept()[0])
        loop, config = asyncio.get_running_loop(), self.config
        for client in waiting:
            client.setblocking(False)
            await loop.connect_accepted_socket(
                lambda: config.http_protocol_class(  # type: ignore[call-arg]
                    config=config, server_state=self.server_state, app_state=self.lifespan.state
                ),
                client,
                ssl=config.ssl,
            )


class Child(Process):
    """A worker's process. It is forked with the supervisor's signal handlers, which must not swallow what is meant for it."""

    _parent: int | None = None

    def start(self) -> None:
        self._parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        super().target(sockets)

    @property
    def server(self) -> Server:
        if self._server is None:
            worker = self._server = Worker(self.config)
            worker.parent = self._parent
        return self._server


class Supervisor(Multiprocess):
    """Ends when all that it brought about has ended."""

    def terminate_all(self) -> None:
        for listening in self.sockets:
            listening.close()  # or the kernel would take connections, when the workers have gone, that nobody will ever answer
        super().terminate_all()

    def join_all(self) -> None:
        super().join_all()
        runtime, deadline = Settings.of_environment().runtime, time.monotonic() + PATIENCE
        for name in ("matcher", "projector"):
            while Guard(runtime, name, "").runs():
                if time.monotonic() > deadline:
                    log.warning("the %s has not ended: another service uses it, or it is stuck", name)
                    break
                time.sleep(0.02)


def _install() -> None:
    # uvicorn has no options for these; with another release that names them differently the service's tests fail.
    uvicorn._subprocess.spawn = multiprocessing.get_context("fork")  # type: ignore[assignment]
    uvicorn.supervisors.multiprocess.Process = Child  # type: ignore[misc]
    uvicorn.protocols.http.httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]
    HTTP_PROTOCOLS["auto"], WS_PROTOCOLS["auto"] = "cift.connection:Connection", "cift.connection:Stream"
    command = import_module("uvicorn.main")  # whose name in the package is that of its function
    command.Multiprocess = Supervisor  # type: ignore[attr-defined]
    command.Server = Worker  # type: ignore[attr-defined]


def _prepare() -> None:
    """Load the application, which makes its folders.

    Raises:
        SettingsError, OSError: it cannot be run as it is configured.
    """
    settings = Settings.of_environment()
    settings.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    import cift.api.main  # noqa: F401

    log.info("configuration", extra={"fields": settings.redacted()})
    gc.freeze()  # so that a worker's collections do not touch, and thereby copy, what it shares


if __name__ == "__main__":
    LOGGING_CONFIG.clear()
    LOGGING_CONFIG.update(logs.CONFIGURATION)
    _install()
    try:
        _prepare()
    except (SettingsError, OSError) as error:
        sys.exit(f"cift: {error}")
    # Deflate would cost each WebSocket its own compression of the same message, and its own window.
    sys.exit(main(default_map={"ws_per_message_deflate": False}))
