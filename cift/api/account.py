"""The account: its positions, its trades, its limits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from cift.api import problems, render, schemas
from cift.api.context import Ports
from cift.api.cursor import Cursor, cursor, following
from cift.api.orders import answer
from cift.api.security import Reader
from cift.domain.instruments import BY_NUMBER, instrument
from cift.domain.ledger import Position
from cift.use_cases.freshness import caught_up

router = APIRouter(prefix="/v1/account", tags=["account"], responses=problems.responses(400, 401, 403, 422, 429, 503))


@router.get("", response_model=schemas.Account)
async def account(reader: Reader, ports: Ports, response: Response) -> Response:
    """Who the key belongs to and what it may do."""
    live = await ports.venue.orders("open", account=reader.account)
    settings = ports.settings
    body = {
        "account": reader.account_name,
        "scopes": sorted(reader.scopes),
        "demo": not ports.keys.any(),
        "open_orders": len(live),
        "limits": {
            "max_notional": str(settings.max_notional),
            "max_position": str(settings.max_position),
            "price_collar": f"{settings.collar:g}",
            "requests_per_second": f"{settings.rate:g}",
        },
    }
    return answer(body, headers=response.headers)


@router.get("/positions", response_model=schemas.Positions)
async def positions(reader: Reader, ports: Ports, response: Response) -> Response:
    """Positions by symbol, as of `sequence`."""
    now = await ports.venue.ask("positions", account=reader.account)
    rows = [
        render.position(BY_NUMBER[number], Position(net, cash, buys, sells), last)
        for number, net, cash, buys, sells, last in now["positions"]
        if number in BY_NUMBER
    ]
    return answer({"sequence": now["sequence"], "positions": rows}, headers=response.headers)


@router.get("/trades", response_model=schemas.AccountTrades)
async def trades(
    reader: Reader,
    ports: Ports,
    response: Response,
    symbol: Annotated[str | None, Query(max_length=32)] = None,
    before: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """The account's own trades, newest first."""
    number = instrument(symbol).number if symbol is not None else 0
    await caught_up(ports.venue, ports.history)
    found = await ports.history.trades(number, cursor(before), limit, reader.account)
    after = following(found[-1].id if len(found) == limit else None)
    rows = [render.own_trade(trade, reader.account) for trade in found]
    return answer({"trades": rows, "next_cursor": after}, headers=response.headers)
