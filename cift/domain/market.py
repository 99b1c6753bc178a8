"""The public view of a book: price levels, kept up to date by events, with a checksum that a client can recompute."""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections.abc import Iterable

from cift.domain.records import Event, Side

CHECKED = 10
"""Levels of either side that the checksum covers."""

Level = tuple[int, int, int]
"""Price, displayed quantity, orders."""


class BookView:
    """The levels of one instrument as of ``sequence``."""

    def __init__(self, sequence: int, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        self.sequence = sequence
        self._levels: dict[int, dict[int, tuple[int, int]]] = {
            Side.BUY: {p: (q, n) for p, q, n in bids},
            Side.SELL: {p: (q, n) for p, q, n in asks},
        }
        self._prices = {side: sorted(levels) for side, levels in self._levels.items()}

    def apply(self, event: Event) -> None:
        """Take in the level that an event changed, if it did."""
        side = event.level_side
        if not side:
            return
        levels, prices, price = self._levels[side], self._prices[side], event.level_price
        if event.level_quantity:
            if price not in levels:
                insort(prices, price)
            levels[price] = (event.level_quantity, event.level_orders)
        elif price in levels:
            del levels[price]
            del prices[bisect_left(prices, price)]

    def top(self, side: int, count: int) -> list[Level]:
        """The best levels of a side, best first."""
        prices = self._prices[side]
        chosen = prices[: -count - 1 : -1] if side == Side.BUY else prices[:count]
        return [(price, *self._levels[side][price]) for price in chosen]

    def level(self, side: int, price: int) -> Level:
        """One level as it is now; quantity 0 where there is none."""
        return (price, *self._levels[side].get(price, (0, 0)))

    def checksum(self) -> int:
        """CRC-32 of "price:quantity" in ticks and lots, of the ten best bids, then asks, best first, joined by commas."""
        rows = [*self.top(Side.BUY, CHECKED), *self.top(Side.SELL, CHECKED)]
        return zlib.crc32(",".join(f"{price}:{quantity}" for price, quantity, _ in rows).encode())
