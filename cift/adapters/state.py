"""The venue's state: the core's books and the ledger beside them, and its snapshots on disk.

A snapshot is a file named after the last sequence number in it, twenty digits and ``.snapshot``: magic "CIFTSNP1" (8) ·
SHA-256 of all that follows (32) · bytes of the core's part (8) · core · ledger. It is only a shortcut: the journal has it all.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cift.adapters.journal import Batch
from cift.domain.ledger import Ledger
from cift.domain.records import Event, commands, events
from cift.errors import Corrupt

_MAGIC = b"CIFTSNP1"
_LENGTH = struct.Struct("<Q")
SUFFIX = ".snapshot"
KEPT = 2
"""Snapshots on disk: the newest, and the one before in case that it is damaged."""
REMEMBER = 100_000
"""Orders that are done and still known by client order id."""


class State:
    """Books and ledger; a deterministic function of the journal's batches."""

    def __init__(self, remember: int = REMEMBER) -> None:
        from cift_core import Core

        self.core = Core()
        self.ledger = Ledger(remember)

    @property
    def sequence(self) -> int:
        return int(self.core.sequence)

    def apply(self, payload: bytes) -> tuple[bytes, list[Event]]:
        """Apply journal records; the events as the core wrote them, and decoded."""
        raw: bytes = self.core.apply(commands(payload))
        happened = events(raw)
        self.ledger.apply(payload, happened)
        return raw, happened

    def hash(self) -> str:
        """SHA-256 of the whole state, in hex."""
        return sha256(self.core.state_hash() + self.ledger.snapshot()).hexdigest()

    def snapshot(self) -> bytes:
        core: bytes = self.core.snapshot()
        body = _LENGTH.pack(len(core)) + core + self.ledger.snapshot()
        return _MAGIC + sha256(body).digest() + body

    @classmethod
    def restore(cls, data: bytes) -> State:
        """The state of a snapshot.

        Raises:
            ValueError: it is damaged.
        """
        from cift_core import Core

        body = data[len(_MAGIC) + 32 :]
        if data[: len(_MAGIC)] != _MAGIC or sha256(body).digest() != data[len(_MAGIC) : len(_MAGIC) + 32]:
            raise ValueError("the snapshot does not match its digest")
        (length,) = _LENGTH.unpack_from(body)
        state = cls.__new__(cls)
        state.core = Core.restore(body[_LENGTH.size : _LENGTH.size + length])
        state.ledger = Ledger.restore(body[_LENGTH.size + length :])
        return state


def save(folder: Path, sequence: int, data: bytes) -> None:
    """Write a snapshot and drop the old ones; it is there whole or not at all."""
    target = folder / f"{sequence:020d}{SUFFIX}"
    staged = folder / f".{sequence:020d}{SUFFIX}"
    try:
        with staged.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staged.rename(target)
    finally:
        staged.unlink(missing_ok=True)
    for old in snapshots(folder)[KEPT:]:
        old.unlink()


def snapshots(folder: Path) -> list[Path]:
    """The snapshots of a folder, newest first."""
    return sorted((path for path in folder.glob("*" + SUFFIX) if path.stem.isdigit()), reverse=True)


def load(folder: Path, at_most: int | None = None) -> tuple[State, list[str]]:
    """The newest state that a snapshot holds (of sequence ``at_most`` or before), else an empty one; and what was damaged."""
    damaged = []
    for path in snapshots(folder):
        if at_most is not None and int(path.stem) > at_most:
            continue
        try:
            state = State.restore(path.read_bytes())
        except (ValueError, struct.error, IndexError, FileNotFoundError) as error:
            damaged.append(f"{path}: {error}; replaying the journal from an older one")
            continue
        if state.sequence != int(path.stem):
            damaged.append(f"{path}: holds sequence {state.sequence}; replaying the journal from an older one")
            continue
        return state, damaged
    return State(), damaged


def replay(state: State, batches: Iterator[Batch]) -> int:
    """Apply batches that follow the state; how many commands they held.

    Raises:
        Corrupt: the core refuses a batch whose digest is right.
    """
    count = 0
    for batch in batches:
        before = state.sequence
        try:
            state.apply(batch.payload)
        except (ValueError, KeyError) as error:
            raise Corrupt(f"the batch of sequence {batch.first} cannot be applied: {error}") from None
        count += state.sequence - before
    return count
