"""The book of one instrument: for each side, price levels in order, and in each the orders in order of time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from sortedcontainers import SortedDict

from reference.codes import LIMITS, Side
from reference.records import Order, Terms

Queue = OrderedDict[int, Order]


class Level:
    """The orders at one price; ``shown`` and ``orders`` are what the public sees of it."""

    __slots__ = ("price", "queue", "shown")

    def __init__(self, price: int) -> None:
        self.price = price
        self.queue: Queue = OrderedDict()
        self.shown = 0

    def first(self) -> Order:
        return next(iter(self.queue.values()))


class Levels:
    """Levels of one side, the best first: the lowest price, or the highest if ``highest_first``."""

    def __init__(self, highest_first: bool) -> None:
        self._sign = -1 if highest_first else 1
        self._levels: SortedDict[int, Level] = SortedDict()

    def __iter__(self) -> Iterator[Level]:
        return iter(self._levels.values())

    def best(self) -> Level | None:
        return self._levels.peekitem(0)[1] if self._levels else None

    def reaches(self, price: int, limit: int) -> bool:
        return self._sign * price <= self._sign * limit

    def within(self, limit: int) -> Iterator[Level]:
        """Levels as good as the limit or better, the best first."""
        for level in self:
            if not self.reaches(level.price, limit):
                return
            yield level

    def level(self, price: int) -> Level:
        return self._levels[self._sign * price]

    def add(self, price: int, order: Order) -> Level:
        level = self._levels.get(self._sign * price)
        if level is None:
            level = self._levels[self._sign * price] = Level(price)
        level.queue[order.id] = order
        level.shown += order.visible
        return level

    def remove(self, price: int, order: Order) -> Level:
        level = self.level(price)
        del level.queue[order.id]
        level.shown -= order.visible
        if not level.queue:
            del self._levels[self._sign * price]
        return level


class Book:
    def __init__(self, number: int, terms: Terms) -> None:
        self.number = number
        self.terms = terms
        self.last_price = 0
        self.open = 0
        self.sides = {Side.BUY: Levels(highest_first=True), Side.SELL: Levels(highest_first=False)}
        self.stops = {Side.BUY: Levels(highest_first=False), Side.SELL: Levels(highest_first=True)}

    def against(self, side: int) -> Levels:
        return self.sides[Side.SELL if side == Side.BUY else Side.BUY]

    def limit(self, order: Order) -> int:
        """The last price at which the order may trade."""
        if order.type in LIMITS:
            return order.price
        return self.terms.high if order.side == Side.BUY else self.terms.low

    def would_trade(self, side: int, price: int) -> bool:
        return next(self.against(side).within(price), None) is not None

    def elected(self, side: int, stop_price: int) -> bool:
        """Whether the last trade elects a stop."""
        if not self.last_price:
            return False
        return stop_price <= self.last_price if side == Side.BUY else stop_price >= self.last_price

    def enter(self, order: Order) -> Level | None:
        """Put an order at the end of its queue; the level that it is in then, None for a stop."""
        self.open += order.remaining
        if order.waiting:
            self.stops[order.side].add(order.stop_price, order)
            return None
        order.visible = order.slice()
        return self.sides[order.side].add(order.price, order)

    def leave(self, order: Order) -> Level | None:
        """Take an order out; the level as it is without it, None for a stop."""
        self.open -= order.remaining
        if order.waiting:
            self.stops[order.side].remove(order.stop_price, order)
            return None
        return self.sides[order.side].remove(order.price, order)

    def lessen(self, order: Order, quantity: int) -> Level:
        """Take quantity from what an order in the book shows; it has more than that."""
        level = self.sides[order.side].level(order.price)
        self.open -= quantity
        order.remaining -= quantity
        order.visible -= quantity
        level.shown -= quantity
        return level

    def refresh(self, order: Order) -> Level:
        """Show the next slice, at the end of the level."""
        level = self.sides[order.side].level(order.price)
        level.queue.move_to_end(order.id)
        order.visible = order.slice()
        level.shown += order.visible
        return level

    def orders(self) -> Iterator[Order]:
        """Bids, asks, buy stops, sell stops, each in order of priority."""
        for levels in (*self.sides.values(), *self.stops.values()):
            for level in levels:
                yield from level.queue.values()
