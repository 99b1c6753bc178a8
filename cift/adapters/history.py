"""The `History` port over the read model's tables."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from cift.adapters.database import CANDLE_COLUMNS, MINUTE, ORDER_COLUMNS, TRADE_COLUMNS, Database
from cift.domain.ledger import Order, Status
from cift.errors import Unavailable
from cift.ports.history import Candle, Trade

_ORDERS = f"SELECT {', '.join(ORDER_COLUMNS)} FROM orders"
_TRADES = f"SELECT {', '.join(TRADE_COLUMNS)} FROM trades"


PATIENCE = 3.0
"""Seconds that a question to the read model may take, the wait for a free thread included."""


class SqlHistory:
    """Queries run in threads, each with a connection of its own."""

    def __init__(self, url: str, kept: bool = True) -> None:
        self._url, self._kept, self._local = url, kept, threading.local()

    async def _query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if not self._kept:
            raise Unavailable("there is no read model while CIFT_JOURNAL is off")
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.to_thread(self._run, sql, values)
        except TimeoutError:
            raise Unavailable(f"the read model has not answered within {PATIENCE:g} s") from None

    def _run(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        database: Database | None = getattr(self._local, "database", None)
        if database is None:
            database = self._local.database = Database(self._url, PATIENCE)
        return database.query(sql, values)

    async def sequence(self) -> int:
        rows = await self._query("SELECT sequence FROM progress WHERE one = 1")
        return int(rows[0][0]) if rows else 0

    async def order(self, account: int, order_id: int | None, client_id: str | None) -> Order | None:
        column, value = ("id", order_id) if order_id is not None else ("client_id", client_id)
        rows = await self._query(
            f"{_ORDERS} WHERE account = ? AND {column} = ? ORDER BY id DESC LIMIT 1", (account, value)
        )
        return _order(rows[0]) if rows else None

    async def orders(self, account: int, instrument: int, live: bool | None, before: int, limit: int) -> list[Order]:
        sql, values = f"{_ORDERS} WHERE account = ? AND id < ?", [account, before]
        if instrument:
            sql, values = f"{sql} AND instrument = ?", [*values, instrument]
        if live is not None:
            sql = f"{sql} AND status {'<=' if live else '>'} {int(Status.OPEN)}"
        return [_order(row) for row in await self._query(f"{sql} ORDER BY id DESC LIMIT ?", (*values, limit))]

    async def trades(self, instrument: int, before: int, limit: int, account: int = 0) -> list[Trade]:
        sql, values = f"{_TRADES} WHERE id < ?", [before]
        if instrument:
            sql, values = f"{sql} AND instrument = ?", [*values, instrument]
        if account:
            sql, values = f"{sql} AND (taker_account = ? OR maker_account = ?)", [*values, account, account]
        return [Trade(*map(int, row)) for row in await self._query(f"{sql} ORDER BY id DESC LIMIT ?", (*values, limit))]

    async def candles(self, instrument: int, seconds: int, until: int, limit: int) -> list[Candle]:
        sql = (
            f"SELECT {', '.join(CANDLE_COLUMNS[1:])} FROM candles WHERE instrument = ? AND start < ? AND start >= ? "
            "ORDER BY start"
        )
        since = (until // seconds - limit + 1) * seconds
        minutes = [Candle(*map(int, row)) for row in await self._query(sql, (instrument, until, since))]
        return minutes if seconds == MINUTE else merged(minutes, seconds)


def _order(row: tuple[Any, ...]) -> Order:
    fields: list[Any] = [*map(int, row[:-1]), str(row[-1]).encode()]
    return Order(*fields)


def merged(candles: Sequence[Candle], seconds: int) -> list[Candle]:
    """Candles of a longer interval out of those of a shorter one, in order of time."""
    found: list[Candle] = []
    for c in candles:
        start = c.start // seconds * seconds
        if found and found[-1].start == start:
            last = found[-1]
            found[-1] = Candle(
                start,
                last.open,
                max(last.high, c.high),
                min(last.low, c.low),
                c.close,
                last.volume + c.volume,
                last.trades + c.trades,
            )
        else:
            found.append(Candle(start, c.open, c.high, c.low, c.close, c.volume, c.trades))
    return found
