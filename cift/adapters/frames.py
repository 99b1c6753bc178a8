"""What workers and the matcher say to each other over the Unix socket.

A frame is: bytes of the body (4) · kind (1) · number of the request (4) · body; little-endian. Many frames go in one write.

    COMMANDS  worker to matcher: journal records whose sequence, time and order id are the matcher's to fill in
    RESULTS   matcher to worker: for each of them, in order, ``RESULT``, then an order's record if there is one, then events
    QUERY     worker to matcher: JSON, with "ask" naming the question
    ANSWER    matcher to worker: JSON
    RECORDS   matcher to worker: packed orders of the ledger, end to end
    FOLLOW    worker to matcher: every batch from now on, please; answered by ANSWER with the sequence so far
    BATCH     matcher to follower: bytes of records (4) · journal records · the core's events
    GOODBYE   worker to matcher: this worker ends, and not by accident
"""

from __future__ import annotations

import struct
from typing import NamedTuple

HEAD = struct.Struct("<IBI")
RESULT = struct.Struct("<BBHI")
"""Outcome, reason, bytes of the order's record, bytes of events."""
LENGTH = struct.Struct("<I")
MAX_BODY = 64 << 20

COMMANDS, RESULTS, QUERY, ANSWER, RECORDS, FOLLOW, BATCH, GOODBYE = range(1, 9)

APPLIED, DUPLICATE, REFUSED, UNKNOWN_ORDER, NOT_JOURNALED, JOURNAL_UNSURE = range(1, 7)


class Result(NamedTuple):
    """What became of a command; ``order`` and ``events`` are packed and may be empty."""

    outcome: int
    reason: int
    order: bytes
    events: bytes


class FrameError(Exception):
    """The other side does not speak this protocol."""


def frame(kind: int, request: int, body: bytes) -> bytes:
    return HEAD.pack(len(body), kind, request) + body


def result(outcome: int, reason: int = 0, order: bytes = b"", events: bytes = b"") -> bytes:
    return RESULT.pack(outcome, reason, len(order), len(events)) + order + events


def results(body: bytes) -> list[Result]:
    """The results of a RESULTS frame."""
    found, at = [], 0
    while at < len(body):
        outcome, reason, order, events = RESULT.unpack_from(body, at)
        at += RESULT.size
        found.append(Result(outcome, reason, body[at : at + order], body[at + order : at + order + events]))
        at += order + events
    return found


class Splitter:
    """Frames out of a stream of bytes."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """The frames that are whole by now: kind, request, body.

        Raises:
            FrameError: a body longer than `MAX_BODY` is announced.
        """
        data = self._left + data if self._left else data
        found: list[tuple[int, int, bytes]] = []
        at, end = 0, len(data)
        while end - at >= HEAD.size:
            size, kind, request = HEAD.unpack_from(data, at)
            if size > MAX_BODY:
                raise FrameError(f"a frame of {size} bytes")
            if end - at - HEAD.size < size:
                break
            at += HEAD.size + size
            found.append((kind, request, data[at - size : at]))
        self._left = data[at:]
        return found
