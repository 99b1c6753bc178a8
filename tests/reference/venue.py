"""The venue: a command in, its events out."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

from reference import checks
from reference.book import Book, Level
from reference.checks import Rejected, require
from reference.codes import STOPS, CommandKind, EventKind, Flag, InstrumentState, Reason, TimeInForce
from reference.ledger import Ledger
from reference.matching import Acting
from reference.records import Command, Event, Order


class Venue:
    """All books. ``apply`` is the whole of its interface; the attributes are for those who look."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.last_order = 0
        self._verbs: dict[int, Callable[[Command], None]] = {
            CommandKind.NEW: self._new,
            CommandKind.CANCEL: self._cancel,
            CommandKind.REPLACE: self._replace,
            CommandKind.MASS_CANCEL: self._mass_cancel,
            CommandKind.DEFINE: self._define,
            CommandKind.SET_STATE: self._set_state,
            CommandKind.CLOCK: lambda _: None,
        }

    def apply(self, command: Command) -> list[Event]:
        """The events of a command.

        Raises:
            ValueError: its sequence is not higher than the last one.
        """
        if command.sequence <= self.ledger.sequence:
            raise ValueError(f"sequence {command.sequence} does not follow {self.ledger.sequence}")
        self.ledger.begin(command.sequence, command.timestamp)
        try:
            verb = self._verbs.get(command.kind)
            if verb is None:
                raise Rejected(Reason.UNKNOWN_KIND)
            verb(command)
        except Rejected as rejected:
            self.ledger.emit(command.instrument, EventKind.REJECTED, rejected.reason, **_as_sent(command))
        return self.ledger.events

    def _new(self, c: Command) -> None:
        checks.codes(c)
        book = self._book(c.instrument)
        checks.new(book, c, self.last_order, self.ledger.time)
        order = Order(
            instrument=c.instrument,
            id=c.order_id,
            account=c.account,
            side=c.side,
            type=c.type,
            tif=c.tif,
            self_trade=c.self_trade,
            flags=c.flags,
            quantity=c.quantity,
            remaining=c.quantity,
            display=c.display,
            price=c.price,
            stop_price=c.stop_price,
            expiry=c.expiry,
            waiting=c.type in STOPS,
        )
        self.last_order = c.order_id
        self.ledger.tell(EventKind.ACCEPTED, Reason.NONE, order, order.quantity)
        Acting(self.ledger, book).act(order)

    def _cancel(self, c: Command) -> None:
        self.ledger.end(self._owned(c), EventKind.CANCELED, Reason.REQUESTED)

    def _replace(self, c: Command) -> None:
        order = self._owned(c)
        book = self.ledger.books[order.instrument]
        checks.replace(book, order, c)
        remaining = c.quantity - order.traded
        stop_price = c.stop_price if order.waiting else order.stop_price
        same = (c.price, c.display, stop_price) == (order.price, order.display, order.stop_price)
        if same and remaining <= order.remaining:
            level = self._lessen_in_place(book, order, remaining)
            order.quantity = c.quantity
            self.ledger.tell(EventKind.REPLACED, Reason.NONE, order, c.quantity, level)
            return
        if order.flags & Flag.POST_ONLY:
            require(not book.would_trade(order.side, c.price), Reason.WOULD_CROSS)
        level = self.ledger.forget(order)
        order.price, order.display, order.stop_price = c.price, c.display, stop_price
        order.quantity, order.remaining, order.visible = c.quantity, remaining, 0
        self.ledger.tell(EventKind.REPLACED, Reason.NONE, order, c.quantity, level)
        Acting(self.ledger, book).act(order)

    def _lessen_in_place(self, book: Book, order: Order, remaining: int) -> Level | None:
        """What is hidden is taken away first."""
        book.open -= order.remaining - remaining
        order.remaining = remaining
        if order.waiting:
            return None
        level = book.sides[order.side].level(order.price)
        visible = min(order.visible, remaining)
        level.shown -= order.visible - visible
        order.visible = visible
        return level

    def _mass_cancel(self, c: Command) -> None:
        require(c.side in (0, 1, 2), Reason.INVALID_CODE)
        require(c.instrument == 0 or c.instrument in self.ledger.books, Reason.UNKNOWN_INSTRUMENT)
        ended = self.ledger.end_all(
            (
                order
                for order in self.ledger.orders.values()
                if c.account in (0, order.account)
                and c.instrument in (0, order.instrument)
                and c.side in (0, order.side)
            ),
            EventKind.CANCELED,
            Reason.MASS_CANCEL,
        )
        self.ledger.emit(c.instrument, EventKind.MASS_CANCELED, side=c.side, account=c.account, quantity=ended)

    def _define(self, c: Command) -> None:
        assert c.terms is not None
        checks.terms(c.instrument, c.terms)
        book = self.ledger.books.get(c.instrument)
        if book is None:
            self.ledger.books[c.instrument] = Book(c.instrument, c.terms)
        else:
            same = (book.terms.tick, book.terms.lot) == (c.terms.tick, c.terms.lot)
            require(same or not any(book.orders()), Reason.NOT_EMPTY)
            book.terms = c.terms
        self._entered(c.instrument, c.terms.state)

    def _set_state(self, c: Command) -> None:
        assert c.terms is not None
        checks.state(c.terms.state)
        book = self._book(c.instrument)
        book.terms = book.terms._replace(state=c.terms.state)
        self._entered(c.instrument, c.terms.state)

    def _entered(self, number: int, state: int) -> None:
        if state == InstrumentState.CLOSED:
            day = (o for o in self.ledger.orders.values() if o.instrument == number and o.tif == TimeInForce.DAY)
            self.ledger.end_all(day, EventKind.EXPIRED, Reason.SESSION_CLOSED)
        self.ledger.emit(number, EventKind.INSTRUMENT)

    def _book(self, number: int) -> Book:
        require(number in self.ledger.books, Reason.UNKNOWN_INSTRUMENT)
        return self.ledger.books[number]

    def _owned(self, c: Command) -> Order:
        order = self.ledger.orders.get(c.order_id)
        if order is None or order.account != c.account:
            raise Rejected(Reason.UNKNOWN_ORDER)
        return order

    def snapshot(self) -> bytes:
        """The canonical state, its SHA-256 at the end."""
        live = self.ledger
        parts = [
            b"CIFTCORE",
            struct.pack("<IIQQQQ", 1, len(live.books), live.sequence, live.time, self.last_order, live.last_trade),
        ]
        for number, book in sorted(live.books.items()):
            orders = [order.pack() for order in book.orders()]
            state, *terms = book.terms
            parts.append(struct.pack("<IB3xqQqqqQ", number, state, *terms, book.last_price, len(orders)))
            parts += orders
        body = b"".join(parts)
        return body + hashlib.sha256(body).digest()

    def state_hash(self) -> bytes:
        return self.snapshot()[-32:]


def _as_sent(c: Command) -> dict[str, int]:
    """What a rejection repeats: nothing of a definition."""
    if c.terms is not None:
        return {}
    return {
        "side": c.side,
        "order_id": c.order_id,
        "account": c.account,
        "price": c.price,
        "quantity": c.quantity,
    }
