"""Matchers from the package index, each on the messages that all of them know: new limit orders and cancels.

Each row gives the wall times of its calls, their processor time in all, and the quantity that traded, by which one sees
that they did the same work. What an engine makes a caller do to learn its trades is part of the call.

Tried and left out: nanobook 0.19.2 (Rust) does not come back from the 648th order of this stream; limit-order-book and
ghul-orderbook have no wheels, matching-engine none for Python 3.11; order-matching needs numpy, faker and loguru.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable
from typing import Any

import cift_core as core
from lean import Lean
from stream import Message

#: Wall times of the calls (ns), processor time of all (ns), lots that traded.
Row = tuple[list[int], int, int]


def subset(messages: list[Message]) -> list[Message]:
    return [message for message in messages if message.kind != "R"]


def _timed(messages: list[Message], new: Callable[[Message], int], cancel: Callable[[Message], None]) -> Row:
    clock, times, traded = time.perf_counter_ns, [], 0
    used = time.process_time_ns()
    for message in messages:
        began = clock()
        if message.kind == "N":
            traded += new(message)
        else:
            cancel(message)
        times.append(clock() - began)
    return times, time.process_time_ns() - used, traded


def of_obook(messages: list[Message]) -> Row:
    """intrepidkarthi/orderbook through its own binding, which calls the native library by ctypes."""
    import obook

    book, ids = obook.Book(max_orders=1 << 20), dict[int, int]()
    sides, trade = (0, obook.BUY, obook.SELL), obook.EventKind.TRADE

    def new(m: Message) -> int:
        # A user an order: orders of one user would not trade.
        ids[m.order] = book.submit(m.order, sides[m.side], m.price, m.quantity).order_id
        return sum(event.qty for event in book.events() if event.kind == trade)

    def cancel(m: Message) -> None:
        book.cancel(ids[m.order], m.order)

    return _timed(messages, new, cancel)


def of_lightmatchingengine(messages: list[Message]) -> Row:
    """Pure Python; it lists each trade twice, once a side."""
    from lightmatchingengine.lightmatchingengine import LightMatchingEngine

    engine, ids = LightMatchingEngine(), dict[int, int]()

    def new(m: Message) -> int:
        order, trades = engine.add_order("X", m.price, m.quantity, m.side)
        ids[m.order] = order.order_id
        return sum(trade.trade_qty for trade in trades) // 2

    def cancel(m: Message) -> None:
        # It fails on an order that has traded whole where others answer that it is gone.
        with contextlib.suppress(AssertionError):
            engine.cancel_order(ids[m.order], "X")

    return _timed(messages, new, cancel)


def of_litebook(messages: list[Message]) -> Row:
    """Rust through PyO3; prices and quantities are floats."""
    import litebook

    book, orders = litebook.OrderBook(tick_size=1.0), dict[int, litebook.Order]()
    sides = (None, litebook.OrderType.Buy, litebook.OrderType.Sell)

    def new(m: Message) -> int:
        orders[m.order] = order = book.create_order(sides[m.side], m.price, m.quantity)
        return int(sum(fill.quantity for fill in book.add(order)))

    return _timed(messages, new, lambda m: book.cancel(orders[m.order].id))


def of_cython_orderbook(messages: list[Message]) -> Row:
    """Compiled by Cython; what traded is what the order has less of afterwards."""
    from cython_orderbook import Order, OrderBook, OrderSide

    book, ids, sides = OrderBook(), dict[int, str](), (None, OrderSide.BID, OrderSide.ASK)

    def new(m: Message) -> int:
        order = Order(sides[m.side], m.quantity, m.price)
        book.add_limit_order(order)
        ids[m.order] = order.order_id
        return int(m.quantity - order.remaining_quantity)

    return _timed(messages, new, lambda m: book.cancel_order(ids[m.order]))


def of_pyorderbook(messages: list[Message]) -> Row:
    """Pure Python, prices are decimals."""
    from pyorderbook import Book, ask, bid

    book, orders, makes = Book(), dict[int, Any](), (None, bid, ask)

    def new(m: Message) -> int:
        orders[m.order] = order = makes[m.side]("X", m.price, m.quantity)
        book.match(order)
        return int(m.quantity - order.quantity)

    def cancel(m: Message) -> None:
        # It logs and fails on an order that has traded whole where others answer that it is gone.
        if orders[m.order].id in book.order_map:
            book.cancel(orders[m.order])

    return _timed(messages, new, cancel)


OTHERS: dict[str, tuple[str, Callable[[list[Message]], Row]]] = {
    "litebook": ("Rust, PyO3, floats", of_litebook),
    "cython_orderbook": ("Cython", of_cython_orderbook),
    "obook": ("native, ctypes", of_obook),
    "lightmatchingengine": ("pure Python", of_lightmatchingengine),
    "pyorderbook": ("pure Python, decimals", of_pyorderbook),
}
"""By the name of their module; one that has no wheel for this Python is left out, and named."""


def of_lean(messages: list[Message]) -> Row:
    book = Lean()

    def new(m: Message) -> int:
        before = len(book.trades)
        book.new(m.order, m.side, m.price, m.quantity)
        return sum(trade[3] for trade in book.trades[before:])

    return _timed(messages, new, lambda m: book.cancel(m.order))


def of_core(messages: list[Message], define: bytes) -> Row:
    """One order a call, packed from integers and unpacked to tuples within it."""
    venue = core.Core()
    venue.apply(define)
    pack, unpack = struct.Struct(core.COMMAND_FORMAT).pack, struct.Struct(core.EVENT_FORMAT).iter_unpack
    trade, sequence = int(core.EventKind.TRADE), iter(range(2, len(messages) + 2))

    def new(m: Message) -> int:
        at = next(sequence)
        record = pack(at, at, 1, 1, m.side, 1, 2, 0, 0, m.account, m.order, m.quantity, 0, m.price, 0, 0)
        return sum(event[12] for event in unpack(venue.apply(record)) if event[3] == trade)

    def cancel(m: Message) -> None:
        at = next(sequence)
        list(unpack(venue.apply(pack(at, at, 1, 2, 0, 0, 0, 0, 0, m.account, m.order, 0, 0, 0, 0, 0))))

    return _timed(messages, new, cancel)
