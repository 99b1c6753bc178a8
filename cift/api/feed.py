"""The feed of one worker: the matcher's batches, turned into each message once and handed to every client that wants it.

Nothing is followed while nobody listens. When the matcher dies the followers' books are of no use any more: every
subscriber gets a new snapshot once it is back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from cift.api import render
from cift.domain.instruments import BY_NUMBER, Instrument
from cift.domain.market import BookView
from cift.domain.records import Event, EventKind, Side
from cift.errors import CiftError
from cift.ports.venue import Happened, Venue

QUEUE = 1000
"""Messages that a client may lag behind before it is dropped."""
LAG = 5.0
"""Seconds that a message may wait for its client, while more come: a feed that is slow itself would fill no queue for hours."""
DEPTH = 5000
"""Levels of a side in a snapshot."""

log = logging.getLogger("cift.feed")


class Subscriber:
    """A client's queue. ``dropped`` is set once it has been too slow; nothing more is put in then."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, str]] = deque()
        self._any = asyncio.Event()
        self.dropped = asyncio.Event()

    def put(self, message: str) -> None:
        now, waiting = time.monotonic(), self._waiting
        if waiting and (len(waiting) >= QUEUE or now - waiting[0][0] > LAG):
            self.dropped.set()
            waiting.clear()
        elif not self.dropped.is_set():
            waiting.append((now, message))
            self._any.set()

    async def next(self) -> str:
        """The message that has waited for longest."""
        while not self._waiting:
            self._any.clear()
            await self._any.wait()
        return self._waiting.popleft()[1]


class Feed:
    """Subscriptions by topic: ("book", number), ("trades", number), ("orders", account)."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._topics: dict[tuple[str, int], set[Subscriber]] = defaultdict(set)
        self._books: dict[int, BookView] = {}
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._loading: dict[int, list[Happened]] = {}

    async def subscribe(self, subscriber: Subscriber, topic: tuple[str, int]) -> None:
        """Add a subscriber; a subscriber of a book gets its snapshot first."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await self._ready.wait()
        if topic[0] == "book":
            traded = BY_NUMBER[topic[1]]
            if topic[1] not in self._books:
                await self._load(topic[1])
            if topic[1] in self._books:  # else the matcher has just died, and a snapshot follows
                subscriber.put(_snapshot(traded, self._books[topic[1]]))
        self._topics[topic].add(subscriber)

    def unsubscribe(self, subscriber: Subscriber, topic: tuple[str, int]) -> None:
        self._topics[topic].discard(subscriber)
        if not self._topics[topic]:
            del self._topics[topic]
            if topic[0] == "book":
                self._books.pop(topic[1], None)
        if not self._topics and self._task is not None:
            self._task.cancel()
            self._task = None
            self._ready.clear()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _load(self, number: int) -> None:
        """A book's view from the matcher, and what was published while it was on its way."""
        missed = self._loading.setdefault(number, [])
        try:
            now = await self._venue.ask("depth", instrument=number, levels=1_000_000)
        finally:
            self._loading.pop(number, None)
        if number in self._books:
            return
        book = BookView(now["sequence"], map(tuple, now["bids"]), map(tuple, now["asks"]))
        for batch in missed:
            for event in batch.events:
                if event.instrument == number and event.sequence > now["sequence"]:
                    book.apply(event)
                    book.sequence = batch.sequence
        self._books[number] = book

    async def _run(self) -> None:
        while True:
            try:
                async for batch in self._venue.follow():
                    if not self._ready.is_set():
                        self._ready.set()
                        await self._resumed()
                    elif batch.events:
                        await self._publish(batch)
            except OSError:
                pass
            except CiftError as error:
                log.warning("the feed has lost the matcher: %s", error)
            self._ready.clear()
            self._books.clear()
            await asyncio.sleep(0.05)

    async def _resumed(self) -> None:
        """New snapshots for those who have subscribed to books before."""
        for kind, number in list(self._topics):
            if kind == "book":
                await self._load(number)
                for subscriber in self._topics.get((kind, number), ()):
                    subscriber.put(_snapshot(BY_NUMBER[number], self._books[number]))

    async def _publish(self, batch: Happened) -> None:
        by_instrument: dict[int, list[Event]] = defaultdict(list)
        orders: dict[int, dict[int, list[Event]]] = defaultdict(lambda: defaultdict(list))
        for event in batch.events:
            by_instrument[event.instrument].append(event)
            if event.order_id and event.kind != EventKind.REJECTED:
                if ("orders", event.account) in self._topics:
                    orders[event.account][event.order_id].append(event)
                if event.kind == EventKind.TRADE and ("orders", event.maker_account) in self._topics:
                    orders[event.maker_account][event.maker_order_id].append(event)
        for missed in self._loading.values():
            missed.append(batch)
        for number, events in by_instrument.items():
            if number not in BY_NUMBER:
                continue
            self._send(("trades", number), _trades(BY_NUMBER[number], events))
            if number in self._books:
                self._send(("book", number), self._delta(BY_NUMBER[number], events, batch.sequence))
        for account, changed in orders.items():
            known = {order.id: order for order in await self._venue.orders("orders", ids=list(changed))}
            for order_id, events in changed.items():
                if order_id in known:
                    body = {
                        "type": "order",
                        "sequence": batch.sequence,
                        "order": render.order(known[order_id]),
                        "trades": [_fill(e, order_id) for e in events if e.kind == EventKind.TRADE],
                    }
                    self._send(("orders", account), json.dumps(body))

    def _delta(self, traded: Instrument, events: Sequence[Event], sequence: int) -> str | None:
        book = self._books[traded.number]
        before = book.sequence
        touched: dict[tuple[int, int], None] = {}
        for event in events:
            if event.level_side and event.sequence > before:
                book.apply(event)
                touched[event.level_side, event.level_price] = None
        if not touched:
            return None
        book.sequence = sequence
        sides: dict[int, list[Any]] = {Side.BUY: [], Side.SELL: []}
        for side, price in touched:
            _, quantity, count = book.level(side, price)
            sides[side].append([traded.price(price), traded.quantity(quantity), count])
        body = {
            "type": "book",
            "symbol": traded.symbol,
            "previous": before,
            "sequence": book.sequence,
            "bids": sides[Side.BUY],
            "asks": sides[Side.SELL],
            "checksum": book.checksum(),
        }
        return json.dumps(body)

    def _send(self, topic: tuple[str, int], message: str | None) -> None:
        if message is not None:
            for subscriber in self._topics.get(topic, ()):
                subscriber.put(message)


def _snapshot(traded: Instrument, book: BookView) -> str:
    def side(which: int) -> list[Any]:
        return [[traded.price(p), traded.quantity(q), n] for p, q, n in book.top(which, DEPTH)]

    body = {
        "type": "snapshot",
        "symbol": traded.symbol,
        "sequence": book.sequence,
        "bids": side(Side.BUY),
        "asks": side(Side.SELL),
        "checksum": book.checksum(),
    }
    return json.dumps(body)


def _trades(traded: Instrument, events: Sequence[Event]) -> str | None:
    rows = [
        {
            "id": e.trade_id,
            "price": traded.price(e.price),
            "quantity": traded.quantity(e.quantity),
            "taker_side": "buy" if e.side == Side.BUY else "sell",
            "time": render.time(e.time),
        }
        for e in events
        if e.kind == EventKind.TRADE
    ]
    if not rows:
        return None
    return json.dumps({"type": "trades", "symbol": traded.symbol, "sequence": events[-1].sequence, "trades": rows})


def _fill(event: Event, order_id: int) -> dict[str, Any]:
    traded = BY_NUMBER[event.instrument]
    return {
        "id": event.trade_id,
        "price": traded.price(event.price),
        "quantity": traded.quantity(event.quantity),
        "liquidity": "taker" if event.order_id == order_id else "maker",
    }
