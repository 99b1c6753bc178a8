"""Public market data: symbols, books, trades, klines."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from cift.api import problems, render, schemas
from cift.api.context import Ports
from cift.api.cursor import Cursor, cursor, following
from cift.api.orders import answer
from cift.api.security import Public
from cift.domain.instruments import BY_NUMBER, INSTRUMENTS, instrument
from cift.domain.records import CLOSED, HALTED, OPEN
from cift.ports.history import Trade
from cift.use_cases.freshness import caught_up

router = APIRouter(
    prefix="/v1", tags=["market data"], dependencies=[Public], responses=problems.responses(400, 422, 429, 503)
)
Symbol = Annotated[str, Path(max_length=32, examples=["CIFT-USD"], json_schema_extra={"enum": list(INSTRUMENTS)})]
_STATES = {OPEN: "open", HALTED: "halted", CLOSED: "closed"}
INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}


@router.get("/symbols", response_model=list[schemas.Symbol])
async def symbols(ports: Ports, response: Response) -> Response:
    """What is traded here, in which steps."""
    now = await ports.venue.ask("instruments")
    listed = [
        {
            "symbol": i.symbol,
            "base": i.base,
            "quote": i.quote,
            "tick": i.price(1),
            "lot": i.quantity(1),
            "max_price": i.price(i.top),
            "max_quantity": i.quantity(i.most),
            "state": _STATES.get(now["states"].get(str(i.number), 0), "unknown"),
            "last_price": i.price(last) if (last := now["last"].get(str(i.number))) else None,
        }
        for i in INSTRUMENTS.values()
    ]
    return answer(listed, headers=response.headers)


@router.get("/book/{symbol}", response_model=schemas.Book)
async def book(
    symbol: Symbol, ports: Ports, response: Response, depth: Annotated[int, Query(ge=1, le=1000)] = 20
) -> Response:
    """The book by price levels, best first, as of `sequence`."""
    traded = instrument(symbol)
    now = await ports.venue.ask("depth", instrument=traded.number, levels=depth)
    body = {
        "symbol": symbol,
        "sequence": now["sequence"],
        "bids": render.levels(traded, now["bids"]),
        "asks": render.levels(traded, now["asks"]),
    }
    return answer(body, headers=response.headers)


@router.get("/trades/{symbol}", response_model=schemas.Trades)
async def trades(
    symbol: Symbol,
    ports: Ports,
    response: Response,
    before: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """The tape, newest first."""
    traded = instrument(symbol)
    await caught_up(ports.venue, ports.history)
    found = await ports.history.trades(traded.number, cursor(before), limit)
    after = following(found[-1].id if len(found) == limit else None)
    return answer({"trades": [_trade(t) for t in found], "next_cursor": after}, headers=response.headers)


def _trade(trade: Trade) -> dict[str, object]:
    traded = BY_NUMBER[trade.instrument]
    return {
        "id": trade.id,
        "symbol": traded.symbol,
        "price": traded.price(trade.price),
        "quantity": traded.quantity(trade.quantity),
        "taker_side": "buy" if trade.side == 1 else "sell",
        "time": render.time(trade.time),
        "sequence": trade.sequence,
    }


@router.get("/klines/{symbol}", response_model=schemas.Klines)
async def klines(
    symbol: Symbol,
    ports: Ports,
    response: Response,
    interval: Literal["1m", "5m", "15m", "1h", "4h", "1d"] = "1m",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """Candles, oldest first; intervals without a trade are left out."""
    traded = instrument(symbol)
    await caught_up(ports.venue, ports.history)
    found = await ports.history.candles(traded.number, INTERVALS[interval], int(time.time()) + 1, limit)
    rows = [
        {
            "open_time": render.time(c.start * 10**9),
            "open": traded.price(c.open),
            "high": traded.price(c.high),
            "low": traded.price(c.low),
            "close": traded.price(c.close),
            "volume": traded.quantity(c.volume),
            "trades": c.trades,
        }
        for c in found
    ]
    return answer({"symbol": symbol, "interval": interval, "klines": rows}, headers=response.headers)
