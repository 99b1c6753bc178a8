"""The HTTP API: ``uvicorn cift.api.main:app``, any number of workers over one book."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from cift import __version__
from cift.adapters.matcher import Client, Unavailable
from cift.domain.instruments import INSTRUMENTS, Instrument, InvalidInput, instrument

_client = Client()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """A worker is ready once the matcher answers it."""
    await _client.ask(do="ping")
    yield
    _client.close()


app = FastAPI(title="CIFT Markets", version=__version__, lifespan=lifespan)


class NewOrder(BaseModel):
    """A limit order; price and quantity are decimal strings."""

    model_config = ConfigDict(extra="forbid", strict=True)

    symbol: str = Field(max_length=32, examples=["CIFT-USD"])
    side: Literal["buy", "sell"]
    price: str = Field(max_length=32, examples=["100.25"])
    quantity: str = Field(max_length=32, examples=["1.5"])


class Trade(BaseModel):
    sequence: int
    maker_order_id: int
    taker_order_id: int
    price: str
    quantity: str


class Order(BaseModel):
    id: int
    symbol: str
    side: Literal["buy", "sell"]
    price: str
    quantity: str
    remaining: str
    status: Literal["open", "partially_filled", "filled"]
    trades: list[Trade]


class Level(BaseModel):
    price: str
    quantity: str
    orders: int


class Book(BaseModel):
    symbol: str
    bids: list[Level]
    asks: list[Level]


def _problem(status: int, title: str, detail: str) -> JSONResponse:
    """An error as problem+json (RFC 9457)."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


@app.exception_handler(InvalidInput)
async def _invalid(request: Request, error: InvalidInput) -> JSONResponse:
    return _problem(422, "Invalid input", str(error))


@app.exception_handler(RequestValidationError)
async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "body"
    return _problem(422, "Invalid input", f"{where}: {first['msg']}")


@app.exception_handler(Unavailable)
async def _unavailable(request: Request, error: Unavailable) -> JSONResponse:
    return _problem(503, "Matcher unavailable", str(error))


def _trades(traded: Instrument, rows: list[list[int]]) -> list[Trade]:
    return [
        Trade(sequence=s, maker_order_id=m, taker_order_id=t, price=traded.price(p), quantity=traded.quantity(q))
        for s, m, t, p, q in rows
    ]


@app.get("/health")
async def health() -> dict[str, Any]:
    """Live: this worker runs and the matcher answers it. The books are in memory until there is a journal."""
    answer = await _client.ask(do="ping")
    return {"status": "ok", "version": __version__, "epoch": str(answer["epoch"]), "durable": False}


@app.get("/v1/symbols")
async def symbols() -> list[dict[str, str]]:
    return [{"symbol": i.symbol, "tick": i.price(1), "lot": i.quantity(1)} for i in INSTRUMENTS.values()]


@app.post("/v1/orders", status_code=201)
async def submit(order: NewOrder) -> Order:
    traded = instrument(order.symbol)
    price, quantity = traded.ticks(order.price), traded.lots(order.quantity)
    answer = await _client.ask(
        do="submit", symbol=order.symbol, buy=order.side == "buy", price=price, quantity=quantity
    )
    remaining = answer["remaining"]
    status: Literal["open", "partially_filled", "filled"] = (
        "filled" if not remaining else "open" if remaining == quantity else "partially_filled"
    )
    return Order(
        id=answer["id"],
        symbol=order.symbol,
        side=order.side,
        price=traded.price(price),
        quantity=traded.quantity(quantity),
        remaining=traded.quantity(remaining),
        status=status,
        trades=_trades(traded, answer["trades"]),
    )


@app.delete("/v1/orders/{symbol}/{order_id}", response_model=None)
async def cancel(symbol: str, order_id: Annotated[int, Path(ge=1, lt=2**63)]) -> dict[str, str] | JSONResponse:
    traded = instrument(symbol)
    answer = await _client.ask(do="cancel", symbol=symbol, id=order_id)
    if answer.get("unknown"):
        return _problem(404, "Not found", f"order {order_id} does not rest in the book of {symbol}")
    return {"cancelled": traded.quantity(answer["remaining"])}


@app.get("/v1/book/{symbol}")
async def book(symbol: str, depth: Annotated[int, Query(ge=1, le=1000)] = 20) -> Book:
    traded = instrument(symbol)
    answer = await _client.ask(do="book", symbol=symbol, depth=depth)

    def levels(rows: list[list[int]]) -> list[Level]:
        return [Level(price=traded.price(p), quantity=traded.quantity(q), orders=n) for p, q, n in rows]

    return Book(symbol=symbol, bids=levels(answer["bids"]), asks=levels(answer["asks"]))


@app.get("/v1/trades/{symbol}")
async def trades(symbol: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[Trade]:
    traded = instrument(symbol)
    answer = await _client.ask(do="trades", symbol=symbol, limit=limit)
    return _trades(traded, answer["trades"])
