"""The journal on its own: what a crash leaves is cut, what is damaged is named, what failed is not there."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from cift.adapters.journal import HEADER, SEGMENT_MAGIC, Batch, Journal, encode, read, segments
from cift.errors import Corrupt, Unavailable

RECORD = 8


def _journal(folder: Path, limit: int = 1 << 20) -> Journal:
    journal = Journal(folder, RECORD, limit)
    list(journal.open())
    return journal


def _filled(folder: Path, batches: int = 5) -> Path:
    journal = _journal(folder)
    for n in range(batches):
        assert journal.append(1000 + n, bytes([n + 1]) * RECORD * 2) == 1 + 2 * n
    journal.close()
    (path,) = segments(folder)
    return path


def test_what_was_appended_is_read_back_over_segments(tmp_path: Path) -> None:
    journal = _journal(tmp_path, limit=100)
    for n in range(9):
        journal.append(n, bytes([n]) * RECORD)
    journal.close()
    assert len(segments(tmp_path)) > 3
    assert [b.first for b in read(tmp_path, RECORD)] == list(range(1, 10))
    assert [b.first for b in read(tmp_path, RECORD, after=6)] == [7, 8, 9]
    assert _journal(tmp_path).next == 10


@pytest.mark.parametrize("left", [1, 7, HEADER - 1, HEADER, HEADER + 3])
def test_a_torn_end_is_cut_and_the_journal_goes_on(tmp_path: Path, left: int) -> None:
    path = _filled(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + encode(Batch(11, 5, b"x" * RECORD))[:left])
    journal = _journal(tmp_path)
    assert path.read_bytes() == whole and journal.next == 11


def test_blocks_that_never_reached_the_disk_are_a_torn_end(tmp_path: Path) -> None:
    path = _filled(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(4096))
    assert _journal(tmp_path).next == 11 and path.read_bytes() == whole


def test_any_flipped_byte_is_named_with_its_offset_and_nothing_is_changed(tmp_path: Path) -> None:
    path = _filled(tmp_path)
    whole = path.read_bytes()
    for at in range(0, len(whole)):
        if (at - len(SEGMENT_MAGIC)) % (HEADER + 2 * RECORD) in range(HEADER - 4, HEADER) and at >= len(SEGMENT_MAGIC):
            continue  # reserved
        damaged = bytearray(whole)
        damaged[at] ^= 0x41
        path.write_bytes(damaged)
        with pytest.raises(Corrupt, match=rf"{path.name}: offset \d+"):
            list(Journal(tmp_path, RECORD, 1 << 20).open())
        assert path.read_bytes() == bytes(damaged)


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    journal = _journal(tmp_path, limit=50)
    for n in range(4):
        journal.append(n, bytes(RECORD))
    journal.close()
    segments(tmp_path)[1].unlink()
    with pytest.raises(Corrupt, match="missing"):
        list(read(tmp_path, RECORD))


def test_a_full_disk_refuses_whole_batches_and_the_journal_recovers_by_itself(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    journal.append(1, b"a" * RECORD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
        with pytest.raises(Unavailable, match="cannot be written"):
            journal.append(2, b"b" * RECORD * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert journal.append(3, b"c" * RECORD) == 2
    journal.close()
    assert [b.payload[:1] for b in read(tmp_path, RECORD)] == [b"a", b"c"]
