"""Who lives and what happened: the orders of all books, and the events of the command at hand."""

from __future__ import annotations

from collections.abc import Iterable

from sortedcontainers import SortedSet

from reference.book import Book, Level
from reference.codes import EventKind, Reason, TimeInForce
from reference.records import Event, Order


class Ledger:
    def __init__(self) -> None:
        self.sequence = 0
        self.time = 0
        self.last_trade = 0
        self.books: dict[int, Book] = {}
        self.orders: dict[int, Order] = {}
        self.events: list[Event] = []
        self._expiries: SortedSet[tuple[int, int]] = SortedSet()

    def begin(self, sequence: int, timestamp: int) -> None:
        """A command: time passes, and what is due expires."""
        self.events = []
        self.sequence = sequence
        self.time = max(self.time, timestamp)
        while self._expiries and self._expiries[0][0] <= self.time:
            self.end(self.orders[self._expiries[0][1]], EventKind.EXPIRED, Reason.TIME_REACHED)

    def keep(self, order: Order) -> Level | None:
        """An order lives from here on, in the book or as a stop that waits."""
        self.orders[order.id] = order
        if order.tif == TimeInForce.GTD:
            self._expiries.add((order.expiry, order.id))
        return self.books[order.instrument].enter(order)

    def forget(self, order: Order) -> Level | None:
        """It does no longer; the level that it left."""
        del self.orders[order.id]
        if order.tif == TimeInForce.GTD:
            self._expiries.remove((order.expiry, order.id))
        return self.books[order.instrument].leave(order)

    def end(self, order: Order, kind: EventKind, reason: Reason) -> None:
        level = self.forget(order)
        ended, order.remaining, order.visible = order.remaining, 0, 0
        self.tell(kind, reason, order, ended, level)

    def end_all(self, orders: Iterable[Order], kind: EventKind, reason: Reason) -> int:
        """End orders by id; how many."""
        chosen = sorted(orders, key=lambda order: order.id)
        for order in chosen:
            self.end(order, kind, reason)
        return len(chosen)

    def emit(self, instrument: int, kind: EventKind, reason: Reason = Reason.NONE, **fields: int) -> None:
        self.events.append(
            Event(self.sequence, self.time, instrument, kind, reason=reason, index=len(self.events), **fields)
        )

    def tell(
        self, kind: EventKind, reason: Reason, order: Order, quantity: int, level: Level | None = None, **fields: int
    ) -> None:
        """An event of an order; the level, if given, is one of its side."""
        side, count, at, shown = (order.side, len(level.queue), level.price, level.shown) if level else (0, 0, 0, 0)
        self.events.append(
            Event(
                self.sequence,
                self.time,
                order.instrument,
                kind,
                order.side,
                reason,
                side,
                len(self.events),
                count,
                order.id,
                order.account,
                order.price,
                quantity,
                order.remaining,
                order.visible,
                level_price=at,
                level_quantity=shown,
            )
        )

    def traded(self, taker: Order, maker: Order, quantity: int, level: Level) -> None:
        """A trade, after which taker and maker stand as they are given."""
        self.last_trade += 1
        self.events.append(
            Event(
                self.sequence,
                self.time,
                taker.instrument,
                EventKind.TRADE,
                taker.side,
                Reason.NONE,
                maker.side,
                len(self.events),
                len(level.queue),
                taker.id,
                taker.account,
                maker.price,
                quantity,
                taker.remaining,
                maker.visible,
                maker.id,
                maker.account,
                maker.remaining,
                self.last_trade,
                level.price,
                level.shown,
            )
        )
