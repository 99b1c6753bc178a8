"""Rate limits and used nonces, shared by all workers: one memory-mapped file, updated under a lock of the kernel.

The file is two tables of fixed size. Buckets: a token bucket a key, found by a hash of its name. Nonces: open addressing by
a hash of key and nonce; an entry may be taken over once it has expired. A full neighbourhood refuses: it fails closed.
A worker that dies while it holds the lock loses it (flock(2)); what it left half-written is one entry of 24 bytes.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from hashlib import blake2b
from pathlib import Path

from cift.errors import Unavailable
from cift.ports.access import Allowance

_BUCKET = struct.Struct("<16sdd")
_BUCKETS = 1 << 12
_NONCE = struct.Struct("<16sd")
_NONCES = 1 << 19
"""12 MiB where all are used; at two thirds, neighbourhoods begin to be full: 10,000 signed requests a second for 35 s each."""
_REACH = 32
_SIZE = _BUCKETS * _BUCKET.size + _NONCES * _NONCE.size


class SharedAdmission:
    """Implements the `Admission` port; ``rate`` requests per second (0: no limit), ``burst`` saved up at most."""

    def __init__(self, path: Path, rate: float, burst: float) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(
            self._file, 0, _SIZE
        )  # a page that finds the disk full when it is first written ends the process
        self._map = mmap.mmap(self._file, _SIZE)
        self._rate, self._burst = rate, burst

    def spend(self, key: str, cost: int) -> Allowance:
        """Take ``cost`` from the key's bucket if that much is in it."""
        if not self._rate:
            return Allowance(True, 0, 0, 0.0)
        name, now = _digest(key, ""), time.monotonic()
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            at = self._bucket(name)
            found, tokens, since = _BUCKET.unpack_from(self._map, at)
            if found != name or since > now:  # new, or from before the machine was started
                tokens, since = self._burst, now
            tokens = min(self._burst, tokens + (now - since) * self._rate)
            allowed = tokens >= cost
            if allowed:
                tokens -= cost
            _BUCKET.pack_into(self._map, at, name, tokens, now)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        retry = 0.0 if allowed else (min(cost, self._burst) - tokens) / self._rate
        return Allowance(allowed, int(self._burst), int(tokens), retry)

    def _bucket(self, name: bytes) -> int:
        """The place of the key's bucket: its own, else a free one, else that of the key unseen for longest."""
        start, oldest, at_oldest = int.from_bytes(name[:4], "little"), float("inf"), 0
        for step in range(_REACH):
            at = (start + step) % _BUCKETS * _BUCKET.size
            found, _, since = _BUCKET.unpack_from(self._map, at)
            if found == name or not since:
                return at
            if since < oldest:
                oldest, at_oldest = since, at
        return at_oldest

    def first_use(self, key: str, nonce: str, until: float) -> bool:
        name, now = _digest(key, nonce), time.time()
        start, free = int.from_bytes(name[:4], "little"), -1
        base = _BUCKETS * _BUCKET.size
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            for step in range(_REACH):
                at = base + (start + step) % _NONCES * _NONCE.size
                found, expires = _NONCE.unpack_from(self._map, at)
                if expires < now:
                    free = at if free < 0 else free
                elif found == name:
                    return False
            if free < 0:
                raise Unavailable("more signed requests came than can be remembered; nothing was taken")
            _NONCE.pack_into(self._map, free, name, until)
            return True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        self._map.close()
        os.close(self._file)


def _digest(key: str, nonce: str) -> bytes:
    return blake2b(f"{key}\0{nonce}".encode(), digest_size=16).digest()
