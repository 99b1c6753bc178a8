"""``python -m cift.uvicorn``: uvicorn with its own options, but the application is loaded once and its workers are forked.

Four workers that each import FastAPI take two cores for well over a second, and hold what they imported four times. Forked
ones begin with it, and a worker that dies is replaced in milliseconds. Only what is loaded before the fork may be shared: no
thread, socket or file of the application is open until a worker's lifespan begins.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys

import uvicorn._subprocess
from uvicorn.config import LOGGING_CONFIG
from uvicorn.main import main

from cift import logs


def _fork_workers() -> None:
    # uvicorn has no option for it; with another release that names it differently the service's tests fail.
    uvicorn._subprocess.spawn = multiprocessing.get_context("fork")  # type: ignore[assignment]


if __name__ == "__main__":
    LOGGING_CONFIG.clear()
    LOGGING_CONFIG.update(logs.CONFIGURATION)
    _fork_workers()
    import cift.api.main  # noqa: F401

    gc.freeze()  # so that a worker's collections do not touch, and thereby copy, what it shares
    sys.exit(main())
