"""The read model: what has been, filled from the journal, a little behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cift.domain.ledger import Order


@dataclass(frozen=True, slots=True)
class Trade:
    """An execution, in ticks and lots; ``side`` is the taker's."""

    id: int
    sequence: int
    time: int
    instrument: int
    side: int
    price: int
    quantity: int
    taker_order: int
    taker_account: int
    maker_order: int
    maker_account: int


@dataclass(frozen=True, slots=True)
class Candle:
    """Trades of one interval: prices in ticks, volume in lots, ``start`` in seconds since 1970."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


class History(Protocol):
    """Questions to the read model. Each raises Unavailable where it cannot be reached."""

    async def sequence(self) -> int:
        """The last command that it holds."""

    async def order(self, account: int, order_id: int | None, client_id: str | None) -> Order | None: ...

    async def orders(self, account: int, instrument: int, live: bool | None, before: int, limit: int) -> list[Order]:
        """Newest first, ids below ``before``; instrument 0 is any, live None is either."""

    async def trades(self, instrument: int, before: int, limit: int, account: int = 0) -> list[Trade]:
        """Newest first, ids below ``before``; of one account, or of all."""

    async def candles(self, instrument: int, seconds: int, until: int, limit: int) -> list[Candle]:
        """The last intervals that have trades and begin before ``until``, oldest first."""
