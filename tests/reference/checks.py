"""The tables of checks: the first that fails gives the reason."""

from __future__ import annotations

from reference.book import Book
from reference.codes import (
    LIMITS,
    MAX_INSTRUMENT,
    MAX_OPEN,
    MAX_PRICE,
    MAX_QUANTITY,
    MAX_SLICES,
    RESTING,
    STOPS,
    Flag,
    InstrumentState,
    OrderType,
    Reason,
    SelfTrade,
    Side,
    TimeInForce,
)
from reference.records import Command, Order, Terms


class Rejected(Exception):
    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def require(holds: bool, reason: Reason) -> None:
    if not holds:
        raise Rejected(reason)


# As sets of plain numbers: an enumeration is searched for a number far more slowly.
_SIDES, _TYPES, _TIFS, _MODES = (frozenset(map(int, codes)) for codes in (Side, OrderType, TimeInForce, SelfTrade))
_STATES = frozenset(map(int, InstrumentState))


def codes(c: Command) -> None:
    known = c.side in _SIDES and c.type in _TYPES and c.tif in _TIFS and c.self_trade in _MODES
    require(known and not c.flags & ~Flag.POST_ONLY, Reason.INVALID_CODE)
    post_only = bool(c.flags & Flag.POST_ONLY)
    match c.type:
        case OrderType.LIMIT:
            fits = c.tif in RESTING or not post_only
        case OrderType.MARKET:
            fits = c.tif not in RESTING and not post_only
        case _:
            fits = c.tif in RESTING and not post_only
    require(fits, Reason.INVALID_COMBINATION)


def new(book: Book, c: Command, last_order: int, time: int) -> None:
    require(book.terms.state == InstrumentState.OPEN, Reason.NOT_OPEN)
    require(c.account != 0, Reason.INVALID_ACCOUNT)
    if c.type in LIMITS:
        price(book.terms, c.price)
    else:
        require(c.price == 0, Reason.INVALID_PRICE)
    if c.type in STOPS:
        stop_price(book.terms, c.stop_price)
    else:
        require(c.stop_price == 0, Reason.INVALID_STOP_PRICE)
    quantity(book.terms, c.quantity)
    display(book.terms, c.type, c.tif, c.quantity, c.display)
    require(c.tif == TimeInForce.GTD or c.expiry == 0, Reason.INVALID_EXPIRY)
    require(c.order_id > last_order, Reason.INVALID_ORDER_ID)
    require(c.tif != TimeInForce.GTD or c.expiry > time, Reason.INVALID_EXPIRY)
    require(book.open + c.quantity <= MAX_OPEN, Reason.BOOK_FULL)
    if c.flags & Flag.POST_ONLY:
        require(not book.would_trade(c.side, c.price), Reason.WOULD_CROSS)


def replace(book: Book, order: Order, c: Command) -> None:
    require(book.terms.state == InstrumentState.OPEN, Reason.NOT_OPEN)
    if order.type == OrderType.STOP:
        require(c.price == 0, Reason.INVALID_PRICE)
    else:
        price(book.terms, c.price, band=c.price != order.price)
    if order.waiting:
        stop_price(book.terms, c.stop_price)
    quantity(book.terms, c.quantity)
    display(book.terms, order.type, order.tif, c.quantity, c.display)
    require(c.quantity > order.traded, Reason.QUANTITY_TOO_LOW)
    require(book.open - order.remaining + c.quantity - order.traded <= MAX_OPEN, Reason.BOOK_FULL)


def price(terms: Terms, value: int, band: bool = True) -> None:
    require(1 <= value <= MAX_PRICE, Reason.INVALID_PRICE)
    require(value % terms.tick == 0, Reason.OFF_TICK)
    require(not band or terms.low <= value <= terms.high, Reason.OUTSIDE_BAND)


def stop_price(terms: Terms, value: int) -> None:
    require(1 <= value <= MAX_PRICE and value % terms.tick == 0, Reason.INVALID_STOP_PRICE)


def quantity(terms: Terms, value: int) -> None:
    require(1 <= value <= MAX_QUANTITY, Reason.INVALID_QUANTITY)
    require(value % terms.lot == 0, Reason.OFF_LOT)


def display(terms: Terms, kind: int, tif: int, total: int, value: int) -> None:
    if value:
        may = kind in LIMITS and tif in RESTING and value % terms.lot == 0
        require(may and -(-total // value) <= MAX_SLICES, Reason.INVALID_DISPLAY)


def state(value: int) -> None:
    require(value in _STATES, Reason.INVALID_CODE)


def terms(number: int, t: Terms) -> None:
    state(t.state)
    fits = 1 <= t.tick <= MAX_PRICE and 1 <= t.lot <= MAX_QUANTITY and 1 <= t.low <= t.high <= MAX_PRICE
    require(1 <= number <= MAX_INSTRUMENT and fits, Reason.INVALID_INSTRUMENT)
