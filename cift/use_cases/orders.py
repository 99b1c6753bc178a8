"""Placing, changing and cancelling orders: a client's words in, journal records to the venue, the order as it stands out."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cift.domain.instruments import BY_NUMBER, Instrument, instrument
from cift.domain.ledger import Order, Status
from cift.domain.records import (
    POST_ONLY,
    Command,
    CommandKind,
    EventKind,
    OrderType,
    Reason,
    SelfTrade,
    Side,
    TimeInForce,
    record,
)
from cift.errors import CiftError, InvalidInput, OutcomeUnknown, Unavailable
from cift.ports.venue import Outcome, Venue

_CLIENT_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,36}\Z", re.ASCII)
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
TYPES = {
    "limit": OrderType.LIMIT,
    "market": OrderType.MARKET,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
}
TIMES = {t.name.lower(): t for t in TimeInForce}
SELF_TRADES = {"none": SelfTrade.ALLOW, **{s.name.lower(): s for s in SelfTrade if s != SelfTrade.ALLOW}}


class Refused(CiftError):
    """The venue's rules forbid it; nothing was changed. ``order`` is the order concerned, where there is one."""

    def __init__(self, reason: Reason, detail: str, order: Order | None = None) -> None:
        super().__init__(detail)
        self.reason, self.order = reason, order


class NotFound(CiftError):
    """The account has no such order."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A new order as a client words it; decimals are text, and None is what was left out."""

    symbol: str
    side: str
    quantity: str
    type: str = "limit"
    time_in_force: str | None = None
    price: str | None = None
    stop_price: str | None = None
    display_quantity: str | None = None
    post_only: bool = False
    self_trade_prevention: str = "none"
    expires_at: datetime | None = None
    client_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade of an order, in ticks and lots."""

    trade_id: int
    price: int
    quantity: int
    maker_order_id: int


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that the venue took (now, or before under the same client order id), and its trades on arrival."""

    order: Order
    fills: Sequence[Fill]
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """One order of several that was not taken."""

    error: CiftError


def ticket_record(account: int, ticket: Ticket) -> bytes:
    """The journal record of a new order.

    Raises:
        InvalidInput: a value that no order can have; the message names the field.
    """
    traded = instrument(ticket.symbol)
    type_ = TYPES[ticket.type]
    priced, stopped = type_ in (OrderType.LIMIT, OrderType.STOP_LIMIT), type_ in (OrderType.STOP, OrderType.STOP_LIMIT)
    default = TimeInForce.IOC if type_ == OrderType.MARKET else TimeInForce.GTC
    tif = TIMES[ticket.time_in_force] if ticket.time_in_force else default
    _only("price", ticket.price, priced, f"a {ticket.type} order")
    _only("stop_price", ticket.stop_price, stopped, f"a {ticket.type} order")
    _only("expires_at", ticket.expires_at, tif == TimeInForce.GTD, f"time in force {tif.name.lower()}")
    if ticket.post_only and (type_ != OrderType.LIMIT or tif in (TimeInForce.IOC, TimeInForce.FOK)):
        raise InvalidInput("post_only: only a limit order that may rest can be post-only")
    quantity = traded.lots(ticket.quantity)
    display = traded.lots(ticket.display_quantity, "display_quantity") if ticket.display_quantity is not None else 0
    if display > quantity:
        raise InvalidInput("display_quantity: is more than quantity")
    return record(
        Command(
            instrument=traded.number,
            kind=CommandKind.NEW,
            side=SIDES[ticket.side],
            type=type_,
            tif=tif,
            self_trade=SELF_TRADES[ticket.self_trade_prevention],
            flags=POST_ONLY if ticket.post_only else 0,
            account=account,
            quantity=quantity,
            display=display,
            price=traded.ticks(ticket.price) if ticket.price is not None else 0,
            stop_price=traded.ticks(ticket.stop_price, "stop_price") if ticket.stop_price is not None else 0,
            expiry=_nanoseconds(ticket.expires_at) if ticket.expires_at is not None else 0,
        ),
        client_id(ticket.client_order_id),
    )


def client_id(text: str | None) -> bytes:
    """A client order id as bytes; a new one that no client can choose, if there is none."""
    if text is None:
        return b"~" + secrets.token_hex(16).encode()
    if not _CLIENT_ID.match(text):
        raise InvalidInput("client_order_id: is not 1 to 36 letters, digits or any of _ . : -")
    return text.encode()


def _only(name: str, value: object, wanted: bool, what: str) -> None:
    if wanted and value is None:
        raise InvalidInput(f"{name}: {what} needs one")
    if not wanted and value is not None:
        raise InvalidInput(f"{name}: {what} has none")


def _nanoseconds(when: datetime) -> int:
    if when.tzinfo is None:
        raise InvalidInput("expires_at: has no time zone; write 2030-01-01T00:00:00Z")
    value = int(when.timestamp()) * 10**9 + when.microsecond * 1000
    if not 0 < value < 2**63:
        raise InvalidInput("expires_at: is out of range")
    return value


async def place(venue: Venue, account: int, ticket: Ticket) -> Placed:
    """Place an order.

    Raises:
        InvalidInput: it cannot be an order.
        Refused: the venue's rules or limits forbid it.
        Unavailable, OutcomeUnknown: see `Venue.submit`.
    """
    raw = ticket_record(account, ticket)
    (outcome,) = await venue.submit([raw])
    return _placed(outcome)


async def place_many(venue: Venue, account: int, tickets: Sequence[Ticket]) -> list[Placed | Failure]:
    """Place orders in their order, each for itself: one that fails does not hold up the others.

    Raises:
        Unavailable, OutcomeUnknown: see `Venue.submit`.
    """
    records: list[bytes | Failure] = []
    for ticket in tickets:
        try:
            records.append(ticket_record(account, ticket))
        except InvalidInput as error:
            records.append(Failure(error))
    good = [r for r in records if isinstance(r, bytes)]
    outcomes = iter(await venue.submit(good) if good else [])
    return [r if isinstance(r, Failure) else _attempt(next(outcomes)) for r in records]


def _attempt(outcome: Outcome) -> Placed | Failure:
    try:
        return _placed(outcome)
    except CiftError as error:
        return Failure(error)


def _placed(outcome: Outcome) -> Placed:
    order = _taken(outcome)
    fills = [
        Fill(e.trade_id, e.price, e.quantity, e.maker_order_id)
        for e in outcome.events
        if e.kind == EventKind.TRADE and e.order_id == order.id
    ]
    return Placed(order, fills, outcome.duplicate)


def _taken(outcome: Outcome) -> Order:
    if outcome.lost:
        raise (OutcomeUnknown if outcome.unsure else Unavailable)(outcome.lost)
    if outcome.refused == Reason.UNKNOWN_ORDER and outcome.order is None:
        raise NotFound("this account has no such order")
    if outcome.refused or outcome.order is None:
        reason = Reason(outcome.refused)
        raise Refused(reason, _WORDS.get(reason, reason.name.lower().replace("_", " ")), outcome.order)
    return outcome.order


async def cancel(venue: Venue, account: int, order_id: int = 0, client_order_id: str | None = None) -> Order:
    """Cancel an order by either id; one that is cancelled already is no error.

    Raises:
        NotFound: the account has no such order.
        Refused: it is filled or has expired.
        Unavailable, OutcomeUnknown: see `Venue.submit`.
    """
    named = client_id(client_order_id) if client_order_id is not None else b""
    command = Command(kind=CommandKind.CANCEL, account=account, order_id=order_id)
    (outcome,) = await venue.submit([record(command, named)])
    if outcome.refused and outcome.order is not None and outcome.order.status == Status.CANCELED:
        return outcome.order
    return _taken(outcome)


async def replace(
    venue: Venue, account: int, order: Order, quantity: str | None, price: str | None, stop_price: str | None
) -> Order:
    """Change an order's total quantity or prices; it keeps its place only if nothing but its quantity falls.

    Raises:
        InvalidInput, NotFound, Refused, Unavailable, OutcomeUnknown: as for `place` and `cancel`.
    """
    traded = BY_NUMBER[order.instrument]
    if order.type in (OrderType.MARKET, OrderType.STOP):
        _only("price", price, False, f"a {OrderType(order.type).name.lower()} order")
    if order.status != Status.WAITING:
        _only("stop_price", stop_price, False, "an order that is no waiting stop")
    total = traded.lots(quantity) if quantity is not None else order.quantity
    command = Command(
        kind=CommandKind.REPLACE,
        account=account,
        order_id=order.id,
        quantity=total,
        display=min(order.display, total),
        price=traded.ticks(price) if price is not None else order.price,
        stop_price=traded.ticks(stop_price, "stop_price") if stop_price is not None else order.stop_price,
    )
    (outcome,) = await venue.submit([record(command)])
    return _taken(outcome)


async def cancel_all(venue: Venue, account: int, traded: Instrument | None, side: str | None) -> list[int]:
    """Cancel an account's live orders, of one symbol or side if given; the ids of those that it was."""
    command = Command(
        kind=CommandKind.MASS_CANCEL,
        account=account,
        instrument=traded.number if traded else 0,
        side=SIDES[side] if side else 0,
    )
    (outcome,) = await venue.submit([record(command)])
    if outcome.lost:
        _taken(outcome)
    return [e.order_id for e in outcome.events if e.kind == EventKind.CANCELED and e.reason == Reason.MASS_CANCEL]


async def find(
    venue: Venue, account: int, order_id: int | None = None, client_order_id: str | None = None
) -> Order | None:
    """An order that the matcher knows: all that live, and those that were done last."""
    if client_order_id is not None:
        client_id(client_order_id.removeprefix("~"))
        found = await venue.orders("order", account=account, client_id=client_order_id)
    else:
        found = await venue.orders("order", account=account, id=order_id)
    return found[0] if found else None


_WORDS = {
    Reason.NOT_OPEN: "the symbol is not open for trading",
    Reason.INVALID_COMBINATION: "this type of order does not go with this time in force or these options",
    Reason.OUTSIDE_BAND: "the price is outside of the symbol's price band",
    Reason.INVALID_EXPIRY: "expires_at is not in the future",
    Reason.INVALID_DISPLAY: "display_quantity does not fit: too small for the quantity, or not a plain resting order",
    Reason.BOOK_FULL: "the book holds as much as it can; try a smaller quantity",
    Reason.WOULD_CROSS: "a post-only order would trade at once at this price",
    Reason.UNKNOWN_ORDER: "the order is done: it was filled, cancelled or has expired",
    Reason.QUANTITY_TOO_LOW: "the new quantity is not more than what has been filled",
    Reason.MAX_NOTIONAL: "price times quantity is more than one order may have",
    Reason.MAX_POSITION: "the account's position could grow past its limit",
    Reason.COLLAR: "the price is too far through the last trade",
    Reason.CLIENT_ID_TAKEN: "another order of this account has this client_order_id",
}
