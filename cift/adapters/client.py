"""A worker's way to the matcher. What waits when the matcher dies is sent again to the one that follows: client order
ids make that harmless, so that a caller sees an acknowledgement or an honest refusal and rarely learns of the restart.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from cift.adapters import frames
from cift.adapters.guard import Guard
from cift.domain.ledger import ORDER_SIZE, Order
from cift.domain.records import COMMAND, RECORD_SIZE, events
from cift.errors import OutcomeUnknown, Unavailable
from cift.ports.venue import Happened, Outcome

PATIENCE = 5.0
"""Seconds that a request waits for a matcher that is not there."""


class _Link(asyncio.Protocol):
    """One connection: requests by number, and their futures."""

    def __init__(self) -> None:
        self._splitter = frames.Splitter()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, asyncio.Future[tuple[int, bytes]]] = {}
        self._last = 0
        self._outgoing: list[bytes] = []
        self.batches: asyncio.Queue[bytes | None] | None = None

    @property
    def alive(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport by inheritance.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for kind, request, body in self._splitter.feed(data):
            if kind == frames.BATCH:
                if self.batches is not None:
                    self.batches.put_nowait(body)
                continue
            future = self._waiting.pop(request, None)
            if future is not None and not future.done():
                future.set_result((kind, body))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the matcher is gone"))
        self._waiting.clear()
        if self.batches is not None:
            self.batches.put_nowait(None)

    def request(self, kind: int, body: bytes) -> asyncio.Future[tuple[int, bytes]]:
        loop = asyncio.get_running_loop()
        self._last = self._last % 0xFFFFFFFF + 1
        future: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        self._waiting[self._last] = future
        if not self._outgoing:
            loop.call_soon(self._flush)
        self._outgoing.append(frames.frame(kind, self._last, body))
        return future

    def _flush(self) -> None:
        """What was asked in one turn of the loop goes out in one write."""
        if self._transport is not None:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _in_time(answer: asyncio.Future[tuple[int, bytes]], deadline: float) -> tuple[int, bytes]:
    async with asyncio.timeout_at(deadline):
        return await answer


class MatcherClient:
    """Implements the `Venue` port over the matcher's Unix socket."""

    def __init__(self, runtime: Path) -> None:
        self._runtime = runtime
        self._guard = Guard(runtime, "matcher", "cift.adapters.matcher")
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self._watches: list[asyncio.Task[None]] = []

    async def start(self, *others: Guard | None) -> None:
        """Connect, starting the matcher if nobody has, and keep watch over it and other programs."""
        self._watches = [asyncio.create_task(g.watch()) for g in (self._guard, *others) if g is not None]
        await self._connected(asyncio.get_running_loop().time() + 30)

    async def stop(self) -> None:
        for watch in self._watches:
            watch.cancel()
        if self._link is not None and self._link.alive:
            self._link.request(frames.GOODBYE, b"").cancel()
            await asyncio.sleep(0)  # what was asked in this turn of the loop goes out after it
            self._link.close()

    def trouble(self) -> str:
        """Why the matcher could not start the last time, or nothing."""
        try:
            return (self._runtime / "matcher.error").read_text()
        except OSError:
            return ""

    async def _connected(self, deadline: float) -> _Link:
        if self._link is not None and self._link.alive:
            return self._link
        async with self._connecting:
            loop = asyncio.get_running_loop()
            while self._link is None or not self._link.alive:
                try:
                    self._link = await self._connect()
                except OSError:
                    self._guard.ensure()
                    if loop.time() > deadline:
                        reason = self.trouble() or "it is being started"
                        raise Unavailable(f"the matcher is not there: {reason}") from None
                    await asyncio.sleep(0.02)
            return self._link

    async def _connect(self) -> _Link:
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(_Link, str(self._runtime / "matcher.sock"))
        return link

    async def submit(self, records: Sequence[bytes]) -> list[Outcome]:
        body, deadline = b"".join(records), asyncio.get_running_loop().time() + PATIENCE
        sent = False
        while True:
            try:
                link = await self._connected(deadline)
                sent = True
                _, answer = await _in_time(link.request(frames.COMMANDS, body), deadline)
                break
            except ConnectionError:
                continue
            except TimeoutError:
                raise OutcomeUnknown(
                    f"the matcher holds the request, and has not answered within {PATIENCE:g} s"
                ) from None
            except Unavailable as error:
                if sent:
                    raise OutcomeUnknown("the matcher died while it held the request, and is not back yet") from None
                raise Unavailable(f"{error}; nothing was taken") from None
        return [_outcome(result) for result in frames.results(answer)]

    async def ask(self, question: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self._ask(frames.ANSWER, question, arguments))
        return answer

    async def orders(self, question: str, **arguments: Any) -> list[Order]:
        data = await self._ask(frames.RECORDS, question, arguments)
        return [Order.unpack(data[at : at + ORDER_SIZE]) for at in range(0, len(data), ORDER_SIZE)]

    async def _ask(self, expected: int, question: str, arguments: dict[str, Any]) -> bytes:
        body, deadline = (
            json.dumps({"ask": question, **arguments}).encode(),
            asyncio.get_running_loop().time() + PATIENCE,
        )
        while True:
            link = await self._connected(deadline)
            try:
                kind, answer = await _in_time(link.request(frames.QUERY, body), deadline)
            except ConnectionError:
                continue
            except TimeoutError:
                raise Unavailable(f"the matcher has not answered within {PATIENCE:g} s") from None
            if kind != expected:
                raise Unavailable(f"the matcher does not understand {question!r}: is it of another version?")
            return answer

    @asynccontextmanager
    async def live(self) -> AsyncIterator[Live]:
        """Every batch from now on, over a connection of its own, so that a slow reader holds up nobody.

        Raises:
            OSError: there is no matcher.
        """
        link = await self._connect()
        link.batches = asyncio.Queue()
        try:
            _, answer = await link.request(frames.FOLLOW, b"")
            yield Live(json.loads(answer)["sequence"], link.batches)
        finally:
            link.close()

    async def follow(self) -> AsyncIterator[Happened]:
        async with self.live() as live:
            yield Happened(live.sequence, ())
            while bodies := await live.batches():
                for payload, raw in bodies:
                    last: int = COMMAND.unpack_from(payload, len(payload) - RECORD_SIZE)[0]
                    yield Happened(last, events(raw))


class Live:
    """The matcher's batches as they are committed; ``sequence`` is where they begin."""

    def __init__(self, sequence: int, queue: asyncio.Queue[bytes | None]) -> None:
        self.sequence, self._queue = sequence, queue

    async def batches(self) -> list[tuple[bytes, bytes]]:
        """All that have come since the last time (journal records and events), at least one; none: the matcher is gone."""
        body = await self._queue.get()
        bodies = []
        while body is not None:
            bodies.append(_batch(body))
            if self._queue.empty():
                return bodies
            body = self._queue.get_nowait()
        self._queue.put_nowait(None)
        return bodies


def _batch(body: bytes) -> tuple[bytes, bytes]:
    """The journal records and the events of a BATCH frame."""
    (size,) = frames.LENGTH.unpack_from(body)
    return body[frames.LENGTH.size : frames.LENGTH.size + size], body[frames.LENGTH.size + size :]


def _outcome(result: frames.Result) -> Outcome:
    if result.outcome == frames.NOT_JOURNALED:
        return Outcome(None, lost="the journal cannot be written just now; nothing was taken")
    if result.outcome == frames.JOURNAL_UNSURE:
        return Outcome(None, lost="the journal failed; whether the command is in it is not known yet", unsure=True)
    order = Order.unpack(result.order) if result.order else None
    refused = result.reason if result.outcome in (frames.REFUSED, frames.UNKNOWN_ORDER) else 0
    return Outcome(order, events(result.events), refused, result.outcome == frames.DUPLICATE)
