"""``python -m cift.uvicorn``: uvicorn with its own options, but the application is loaded once and its workers are forked.

Four workers that each import FastAPI take two cores for well over a second, and hold what they imported four times. Forked
ones begin with it, and a worker that dies is replaced in milliseconds. Only what is loaded before the fork may be shared: no
thread, socket or file of the application is open until a worker's lifespan begins.
"""

from __future__ import annotations

import gc
import multiprocessing
import socket
import sys

import uvicorn._subprocess
from uvicorn.config import LOGGING_CONFIG, Config
from uvicorn.main import main

from cift import logs

SEND_BUFFER = 128 << 10
"""Bytes that a client may leave unread in the kernel (which doubles it for its own needs)."""


def _fork_workers() -> None:
    # uvicorn has no option for it; with another release that names it differently the service's tests fail.
    uvicorn._subprocess.spawn = multiprocessing.get_context("fork")  # type: ignore[assignment]


def _bound_send_buffers() -> None:
    # Accepted sockets inherit it. The kernel would let one client that does not read hold megabytes, and hide that it lags.
    bind = Config.bind_socket

    def bounded(config: Config) -> socket.socket:
        listening = bind(config)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return listening

    Config.bind_socket = bounded  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    LOGGING_CONFIG.clear()
    LOGGING_CONFIG.update(logs.CONFIGURATION)
    _fork_workers()
    _bound_send_buffers()
    import cift.api.main  # noqa: F401

    gc.freeze()  # so that a worker's collections do not touch, and thereby copy, what it shares
    sys.exit(main())
