"""Keeps the matcher and the projector alive: any worker may start them, a lock sees to it that only one runs.

A child inherits the locked file, so the lock is held exactly as long as the child lives (flock(2)), whoever started it.
"""

from __future__ import annotations

import asyncio
import fcntl
import subprocess
import sys
import time
from pathlib import Path

_EVERY = 0.5
_SOONEST = 0.3
"""Seconds between two starts of the same program by one worker: one that cannot start does not burn the machine."""


class Guard:
    """Watches over one program of this package: ``python -m MODULE`` under ``NAME.lock`` in the runtime folder."""

    def __init__(self, runtime: Path, name: str, module: str) -> None:
        self._lock = runtime / f"{name}.lock"
        self._module = module
        self._started = 0.0
        self._children: list[subprocess.Popen[bytes]] = []

    def ensure(self) -> None:
        """Start the program unless it runs."""
        self._children = [child for child in self._children if child.poll() is None]
        if time.monotonic() - self._started < _SOONEST:
            return
        self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return
            self._started = time.monotonic()
            self._children.append(
                subprocess.Popen(
                    [sys.executable, "-m", self._module],
                    pass_fds=[lock.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )

    def runs(self) -> bool:
        """Whether the program runs, whoever has started it."""
        try:
            with self._lock.open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    async def watch(self) -> None:
        """Ensure it for as long as this worker lives."""
        while True:
            self.ensure()
            await asyncio.sleep(_EVERY)
