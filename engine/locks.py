"""Locks among threads and processes, by name: bytes of one file, so that none is left behind whatever is killed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path


class Locks:
    """Locks in one file (open file description locks, fcntl(2)). They end with their descriptor, thus with a kill."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, name: str, *, shared: bool = False, wait: bool = True) -> int | None:
        """A descriptor that holds the lock until it is closed; None where ``wait`` is false and another has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
        kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
        request = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, 1, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, request)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @contextmanager
    def held(self, name: str, *, shared: bool = False) -> Iterator[None]:
        descriptor = self.take(name, shared=shared)
        assert descriptor is not None
        try:
            yield
        finally:
            os.close(descriptor)

    @asynccontextmanager
    async def awaited(self, name: str, *, shared: bool = False) -> AsyncIterator[None]:
        """The lock, waited for without holding a thread: its holder may need one to come to an end."""
        import asyncio

        pause = 0.01
        while (descriptor := self.take(name, shared=shared, wait=False)) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.2)
        try:
            yield
        finally:
            os.close(descriptor)
