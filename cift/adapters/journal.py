"""The journal: an append-only log of commands in segments, and the truth of the venue.

A segment is a file named after its first sequence number, twenty digits and ``.journal``. All integers are little-endian.

    segment   magic "CIFTJNL1" (8)                                                    then batches to the end of the file
    batch     magic "BTCH" (4) · payload bytes (4) · first sequence (8) · time (8)
              · payload digest: BLAKE2b-64 of first sequence, time and payload (8)
              · CRC-32 of the 32 bytes before (4) · reserved, zero (4) · payload

The payload is a whole number of fixed-size records (``record`` bytes); each takes one sequence number, from 1 and without
gaps. Time is nanoseconds since 1970 and an input of the matching core. One batch is one write and one fdatasync: group commit.

What a crash can leave, and what is done about it when the journal is opened:

- the last batch is a prefix, or ends in zeros (blocks that never reached the disk): nobody was answered for it, it is cut;
- anything else that does not check is damage: ``Corrupt`` names file and offset, and nothing is changed. A batch that is
  there in full but does not match its digest is damage even at the very end, since it may have been acknowledged.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from cift.errors import Corrupt, Unavailable

SEGMENT_MAGIC = b"CIFTJNL1"
_BATCH_MAGIC = b"BTCH"
_HEAD = struct.Struct("<4sIQq8s")
_TAIL = struct.Struct("<II")
HEADER = _HEAD.size + _TAIL.size
MAX_PAYLOAD = 16 << 20
SUFFIX = ".journal"


@dataclass(frozen=True, slots=True)
class Batch:
    """Commands that were made durable together; ``payload`` holds them one after another."""

    first: int
    time: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Torn:
    """Where a segment's last, incomplete batch begins."""

    path: Path
    offset: int


def encode(batch: Batch) -> bytes:
    """The bytes of a batch as they stand in a segment."""
    head = _HEAD.pack(_BATCH_MAGIC, len(batch.payload), batch.first, batch.time, _digest(batch))
    return head + _TAIL.pack(zlib.crc32(head), 0) + batch.payload


def _digest(batch: Batch) -> bytes:
    digest = blake2b(struct.pack("<Qq", batch.first, batch.time), digest_size=8)
    digest.update(batch.payload)
    return digest.digest()


def segments(folder: Path) -> list[Path]:
    """The segments of a journal, oldest first."""
    return sorted(path for path in folder.glob("*" + SUFFIX) if path.stem.isdigit())


def read_segment(path: Path, record: int) -> Iterator[Batch | Torn]:
    """The batches of a segment, and at its end ``Torn`` if the last one is incomplete.

    Raises:
        Corrupt: something that a crash cannot explain.
    """
    with path.open("rb") as file:
        magic = file.read(len(SEGMENT_MAGIC))
        if magic != SEGMENT_MAGIC:
            if SEGMENT_MAGIC.startswith(magic.rstrip(b"\0")) and not file.read(1):
                yield Torn(path, 0)
                return
            raise Corrupt(f"{path}: offset 0: this is no journal segment (it does not begin with {SEGMENT_MAGIC!r})")
        expected = int(path.stem)
        while True:
            offset = file.tell()
            head = file.read(HEADER)
            if not head:
                return
            if len(head) < HEADER or not head.strip(b"\0"):
                _only_zeros_follow(file, path, offset, len(head) == HEADER)
                yield Torn(path, offset)
                return
            magic, size, first, time, digest = _HEAD.unpack_from(head)
            check, _ = _TAIL.unpack_from(head, _HEAD.size)
            if magic != _BATCH_MAGIC or zlib.crc32(head[: _HEAD.size]) != check or size > MAX_PAYLOAD:
                if _torn_by_zeros(head, file.read()):
                    yield Torn(path, offset)
                    return
                raise Corrupt(
                    f"{path}: offset {offset}: the header of a batch is damaged (after sequence {expected - 1})"
                )
            if first != expected or size == 0 or size % record:
                raise Corrupt(
                    f"{path}: offset {offset}: sequence {first} with {size} bytes, where {expected} was expected"
                )
            payload = file.read(size)
            if len(payload) < size:
                yield Torn(path, offset)
                return
            batch = Batch(first, time, payload)
            if _digest(batch) != digest:
                if _torn_by_zeros(payload, file.read()):
                    yield Torn(path, offset)
                    return
                raise Corrupt(
                    f"{path}: offset {offset}: the batch of sequences {first} to {first + size // record - 1} "
                    "does not match its digest"
                )
            yield batch
            expected += size // record


def _only_zeros_follow(file: object, path: Path, offset: int, whole: bool) -> None:
    rest: bytes = file.read() if whole else b""  # type: ignore[attr-defined]
    if rest.strip(b"\0"):
        raise Corrupt(f"{path}: offset {offset}: zeros, and something after them")


def _torn_by_zeros(found: bytes, rest: bytes) -> bool:
    """Blocks of the file system that never came are zeros to the end of the file."""
    return found[-16:] == bytes(16) and not rest.strip(b"\0")


def read(folder: Path, record: int, after: int = 0) -> Iterator[Batch]:
    """The batches that hold sequences greater than ``after``, from whole segments; a torn end is passed over.

    Raises:
        Corrupt: damage, or segments with a gap between them.
    """
    for _, found in _walk(folder, record, after):
        if isinstance(found, Batch) and found.first + len(found.payload) // record > after + 1:
            yield found


def _walk(folder: Path, record: int, after: int) -> Iterator[tuple[Path, Batch | Torn]]:
    every = segments(folder)
    starts = [index for index, path in enumerate(every) if int(path.stem) <= after + 1]
    if every and not starts:
        raise Corrupt(f"{every[0]}: sequences {after + 1} to {int(every[0].stem) - 1} are missing before it")
    expected = 0
    for index in range(starts[-1] if starts else 0, len(every)):
        path = every[index]
        if expected and int(path.stem) != expected:
            raise Corrupt(f"{path}: offset 0: sequence {expected} was expected to begin here; a segment is missing")
        expected = int(path.stem)
        for found in read_segment(path, record):
            if isinstance(found, Batch):
                expected = found.first + len(found.payload) // record
            elif index + 1 < len(every):
                raise Corrupt(f"{path}: offset {found.offset}: cut short, and another segment follows")
            yield path, found
    if expected and expected <= after:
        raise Corrupt(f"{every[-1]}: ends with sequence {expected - 1}, but {after} was made durable")


class Journal:
    """The end of the log, where batches are appended. One process at a time may hold it."""

    def __init__(self, folder: Path, record: int, segment_bytes: int, sync: bool = True) -> None:
        self._folder, self._record, self._limit, self._sync = folder, record, segment_bytes, sync
        self._file = -1
        self._size = 0
        self._healthy = True
        self.next = 1
        """The sequence number that the next command gets."""

    def open(self, after: int = 0) -> Iterator[Batch]:
        """Check and yield what is there after sequence ``after``, cut a torn end, and be ready to append.

        Raises:
            Corrupt: damage; nothing was changed.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self.next = after + 1
        end = len(SEGMENT_MAGIC)
        last: Path | None = None
        for path, found in _walk(self._folder, self._record, after):
            if path != last:
                last, end = path, len(SEGMENT_MAGIC)
            if isinstance(found, Torn):
                end = found.offset
                break
            end += HEADER + len(found.payload)
            following = found.first + len(found.payload) // self._record
            if following > self.next:
                yield found
                self.next = following
        every = segments(self._folder)
        if not every:
            return
        if every[-1] != last:
            last, end = every[-1], len(SEGMENT_MAGIC)  # begun, and nothing in it yet
        if end < len(SEGMENT_MAGIC):
            last.unlink()
            self._sync_folder()
            return
        self._file = os.open(last, os.O_RDWR | os.O_CLOEXEC)
        self._size = end
        os.ftruncate(self._file, end)
        os.fsync(self._file)

    def append(self, time: int, payload: bytes) -> int:
        """Make commands durable and return the sequence number of the first.

        Raises:
            Unavailable: the disk is full or failed; nothing of the batch is in the journal, now or after a restart.
            OSError: it failed, and whether the batch is in the journal is not known until ``heal`` succeeds.
        """
        if not self._healthy:
            try:
                self.heal()
            except OSError as error:
                raise Unavailable(f"the journal has not recovered ({error.strerror})") from None
        batch = Batch(self.next, time, payload)
        data = encode(batch)
        try:
            if self._file < 0 or self._size >= self._limit:
                self._rotate()
            written = 0
            while written < len(data):
                written += os.pwrite(self._file, memoryview(data)[written:], self._size + written)
            if self._sync:
                os.fdatasync(self._file)
        except OSError as error:
            self._healthy = False
            self.heal()
            raise Unavailable(f"the journal cannot be written ({os.strerror(error.errno or errno.EIO)})") from None
        self._size += len(data)
        self.next += len(payload) // self._record
        return batch.first

    def heal(self) -> None:
        """Cut what a failed append left behind.

        Raises:
            OSError: that failed too.
        """
        if self._file >= 0:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        self._healthy = True

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _rotate(self) -> None:
        path = self._folder / f"{self.next:020d}{SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, SEGMENT_MAGIC, 0)
            os.fsync(file)
            self._sync_folder()
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self.close()
        self._file, self._size = file, len(SEGMENT_MAGIC)

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
