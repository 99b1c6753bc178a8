"""The matcher: one process that owns the books and the journal; the API's workers speak to it over a Unix socket.

It is started by whichever worker finds nobody holding ``matcher.lock`` (see ``guard``), and ends by itself once its last
worker has been gone for a while. The lock is held by the process as long as it lives, so there is never a second one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from cift import logs, loop
from cift.adapters import frames, state
from cift.adapters.journal import Journal
from cift.adapters.sequencer import Batch, Pending, Sequencer
from cift.adapters.storage import outlives_a_restart
from cift.domain.instruments import BY_NUMBER
from cift.domain.records import RECORD_SIZE
from cift.domain.risk import Limits
from cift.errors import CiftError
from cift.settings import Settings

LINGER = 2.0
"""Seconds without a worker after which the matcher ends; it does not wait for a worker that said goodbye."""
MAX_BATCH = 4096
"""Commands that share one fsync at most."""
FOLLOWER_BYTES = 64 << 20
"""What a follower may leave unread before it is cut off; it catches up from the journal."""
_TICK = 0.5
_SLOW = 2.0
"""Seconds of one write to the journal after which it is called stuck."""
_LEAST_SPACE = 64 << 10

log = logging.getLogger("cift.matcher")


class Matcher:
    """Sockets around a `Sequencer`: gathers what came while the last batch was made durable into the next one."""

    def __init__(self, sequencer: Sequencer, settings: Settings) -> None:
        self._sequencer, self._settings = sequencer, settings
        self._pending: list[Pending] = []
        self._wake = asyncio.Event()
        self.connections: set[Connection] = set()
        self.followers: set[Connection] = set()
        self.left = time.monotonic()
        """When the last worker went; long ago if it said goodbye."""
        self._snapshot_at = sequencer.state.sequence
        self._saving: asyncio.Task[None] | None = None
        self._stopping = False
        self._trouble = ""
        self._writing = 0.0
        self._counts = {"batches": 0, "commands": 0, "refused_batches": 0, "sync_seconds": 0.0}
        self._durable = outlives_a_restart(settings.data) and settings.journal == "durable"

    def submit(self, pending: list[Pending]) -> None:
        self._pending += pending
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Commit batches until told to stop, or until nobody has been there for a while."""
        ticked = 0.0
        while not self._stopping:
            if not self._pending:
                try:
                    await asyncio.wait_for(self._wake.wait(), _TICK)
                except TimeoutError:
                    if not self.connections - self.followers and time.monotonic() - self.left > LINGER:
                        break
            self._wake.clear()
            if time.monotonic() - ticked > _TICK:
                ticked = time.monotonic()
                await self.housekeeping()
            taken, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
            if taken:
                await self._commit(self._sequencer.admit(taken))
        if self._saving is not None:
            await self._saving
        await self._save()

    async def housekeeping(self) -> None:
        # While orders are refused nobody may send any more: what can be written again is found out without them.
        batch = self._sequencer.housekeeping(trial=bool(self._trouble))
        if batch is not None:
            await self._commit(batch)
        if self._sequencer.state.sequence - self._snapshot_at >= self._settings.snapshot_every and self._saving is None:
            self._saving = asyncio.create_task(self._save())

    async def _commit(self, batch: Batch) -> None:
        if not batch.payload:
            return
        self._writing = began = time.perf_counter()
        error = await asyncio.get_running_loop().run_in_executor(None, self._sequencer.store, batch)
        self._writing = 0.0
        self._counts["sync_seconds"] += time.perf_counter() - began
        if error is not None:
            self._counts["refused_batches"] += 1
            if not self._trouble:
                log.error("orders are refused: %s", error)
            self._trouble = str(error)
            self._sequencer.refuse(batch, error)
            await asyncio.sleep(0.01)
            return
        if self._trouble:
            log.warning("the journal can be written again")
            self._trouble = ""
        payload, events = self._sequencer.apply(batch)
        self._counts["batches"] += 1
        self._counts["commands"] += len(payload) // RECORD_SIZE
        if self.followers:
            data = frames.frame(frames.BATCH, 0, frames.LENGTH.pack(len(payload)) + payload + events)
            for follower in list(self.followers):
                follower.follow(data)

    def trouble(self) -> str:
        """Why orders are not taken just now, or nothing."""
        if self._trouble or self._settings.journal == "off":
            return self._trouble
        if self._writing and (seconds := time.perf_counter() - self._writing) > _SLOW:
            return f"the journal's disk has not answered for {seconds:.0f} s"
        disk = os.statvfs(self._settings.data)
        left = (disk.f_bavail if os.geteuid() else disk.f_bfree) * disk.f_frsize
        return f"the journal's disk is full: {left} bytes are left" if left < _LEAST_SPACE else ""

    async def _save(self) -> None:
        """A snapshot; one that cannot be written is no loss."""
        if self._settings.journal == "off" or self._sequencer.state.sequence == self._snapshot_at:
            self._saving = None
            return
        sequence, data = self._sequencer.state.sequence, self._sequencer.state.snapshot()
        self._snapshot_at = sequence
        try:
            await asyncio.get_running_loop().run_in_executor(None, state.save, self._settings.data, sequence, data)
        except OSError as error:
            log.warning("no snapshot of sequence %d: %s", sequence, error)
        self._saving = None

    def answer(self, question: dict[str, Any]) -> dict[str, Any] | bytes:
        """The answer to a query: JSON, or packed orders."""
        now = self._sequencer.state
        ledger = now.ledger
        match question.get("ask"):
            case "ping":
                return {
                    "sequence": now.sequence,
                    "pid": os.getpid(),
                    "durable": self._durable,
                    "trouble": self.trouble(),
                }
            case "depth":
                bids, asks = now.core.depth(question["instrument"], question["levels"])
                return {"sequence": now.sequence, "bids": bids, "asks": asks}
            case "order":
                order_id = question.get("id")
                if order_id is None:
                    order_id = ledger.find(question["account"], question["client_id"].encode())
                order = None if order_id is None else ledger.order(order_id)
                return b"" if order is None or order.account != question["account"] else order.pack()
            case "orders":
                found = (ledger.order(order_id) for order_id in question["ids"])
                return b"".join(order.pack() for order in found if order is not None)
            case "open":
                mine = ledger.open_orders(question["account"], question.get("instrument", 0))
                return b"".join(order.pack() for order in mine)
            case "positions":
                return {
                    "sequence": now.sequence,
                    "positions": [
                        [number, p.net, p.cash, p.open_buy, p.open_sell, ledger.last.get(number, 0)]
                        for (account, number), p in sorted(ledger.positions.items())
                        if account == question["account"]
                    ],
                }
            case "instruments":
                return {
                    "states": {number: now.core.instrument(number)[0] for number in now.core.instruments()},
                    "last": ledger.last,
                }
            case "statistics":
                return {
                    **self._counts,
                    "sequence": now.sequence,
                    "live_orders": len(ledger.live),
                    "healthy": not self.trouble(),
                }
            case "hash":
                return {"sequence": now.sequence, "hash": now.hash()}
        return {"error": "unknown question"}


class Connection(asyncio.Protocol):
    """A worker's end."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._splitter = frames.Splitter()
        self._transport: asyncio.Transport | None = None
        self._goodbye = False
        self._outgoing: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        self._matcher.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._matcher.connections.discard(self)
        if self in self._matcher.followers:  # no worker: one that comes and goes for ever must not keep the matcher
            self._matcher.followers.discard(self)
        else:
            self._matcher.left = -math.inf if self._goodbye else time.monotonic()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            for kind, request, body in self._splitter.feed(data):
                self._received(kind, request, body)
        except (frames.FrameError, KeyError, TypeError, ValueError) as error:
            log.error("a worker sent what cannot be understood: %r", error)
            if self._transport is not None:
                self._transport.abort()

    def _received(self, kind: int, request: int, body: bytes) -> None:
        if kind == frames.COMMANDS:
            self._matcher.submit(_Answers(self, request, body).pending)
        elif kind == frames.QUERY:
            answer = self._matcher.answer(json.loads(body))
            if isinstance(answer, bytes):
                self.send(frames.frame(frames.RECORDS, request, answer))
            else:
                self.send(frames.frame(frames.ANSWER, request, json.dumps(answer).encode()))
        elif kind == frames.FOLLOW:
            self._matcher.followers.add(self)
            self.send(frames.frame(frames.ANSWER, request, json.dumps(self._matcher.answer({"ask": "ping"})).encode()))
        elif kind == frames.GOODBYE:
            self._goodbye = True
        else:
            raise frames.FrameError(f"frame of kind {kind}")

    def send(self, data: bytes) -> None:
        """Send with all else that is said in this turn of the loop: a batch's results wake a worker once."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(data)

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def follow(self, data: bytes) -> None:
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > FOLLOWER_BYTES:
            log.warning("a follower reads too slowly and is cut off")
            self._transport.abort()
            return
        self.send(data)


class _Answers:
    """Collects the results of one COMMANDS frame and sends them together."""

    def __init__(self, connection: Connection, request: int, body: bytes) -> None:
        if not body or len(body) % RECORD_SIZE:
            raise frames.FrameError(f"{len(body)} bytes of commands")
        count = len(body) // RECORD_SIZE
        self._connection, self._request, self._missing = connection, request, count
        self._results = [b""] * count
        self.pending = [
            Pending(body[i * RECORD_SIZE : (i + 1) * RECORD_SIZE], lambda data, i=i: self._set(i, data))  # type: ignore[misc]
            for i in range(count)
        ]

    def _set(self, index: int, data: bytes) -> None:
        self._results[index] = data
        self._missing -= 1
        if not self._missing:
            self._connection.send(frames.frame(frames.RESULTS, self._request, b"".join(self._results)))


def limits(settings: Settings) -> dict[int, Limits]:
    """The configured limits by instrument, in ticks and lots."""
    return {
        number: Limits(
            traded.whole_amount(settings.max_notional),
            traded.whole_amount(settings.max_position),
            int(settings.collar * 1_000_000),
        )
        for number, traded in BY_NUMBER.items()
    }


def recover(settings: Settings) -> tuple[state.State, Journal | None]:
    """The state as the journal has it, and the journal, open.

    Raises:
        Corrupt: a segment is damaged.
    """
    if settings.journal == "off":
        return state.State(), None
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    recovered, damaged = state.load(settings.data)
    for line in damaged:
        log.error("%s", line)
    journal = Journal(settings.data, RECORD_SIZE, settings.segment_bytes, sync=settings.journal == "durable")
    count = state.replay(recovered, journal.open(recovered.sequence))
    log.info("sequence %d: %d commands replayed", recovered.sequence, count)
    return recovered, journal


async def serve(settings: Settings) -> None:
    """Recover, then serve until no worker has been connected for a while or SIGTERM comes.

    Raises:
        Corrupt: the journal is damaged.
    """
    recovered, journal = recover(settings)
    matcher = Matcher(Sequencer(recovered, journal, limits(settings)), settings)
    await matcher.housekeeping()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, matcher.stop)
    path = settings.runtime / "matcher.sock"
    staged = settings.runtime / f".matcher-{os.getpid()}.sock"
    staged.unlink(missing_ok=True)
    server = await loop.create_unix_server(lambda: Connection(matcher), staged, backlog=128)
    staged.chmod(0o600)
    staged.rename(path)
    (settings.runtime / "matcher.error").unlink(missing_ok=True)
    try:
        await matcher.run()
    finally:
        server.close()
        path.unlink(missing_ok=True)
        if journal is not None:
            journal.close()


def main() -> int:
    settings = Settings.of_environment()
    logs.configure(settings.log_level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        loop.run(serve(settings))
    except (CiftError, OSError) as error:
        log.error("the matcher cannot start: %s", error)
        with suppress(OSError):  # the disk may be the very reason
            Path(settings.runtime / "matcher.error").write_text(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
