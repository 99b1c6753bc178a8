"""What goes over the wire, as OpenAPI shows it. Decimals are strings, so that no client turns them into floats."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

MAX_BATCH = 50

Decimal = Annotated[str, StringConstraints(min_length=1, max_length=25)]
"""`cift.domain.instruments` parses it and says what is wrong; in a batch, order by order."""
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _timestamp(value: object) -> object:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("is no time with a zone as RFC 3339 has it; write 2030-01-01T00:00:00Z")
    return value


Time = Annotated[datetime, Field(strict=False), BeforeValidator(_timestamp)]
"""Pydantic alone would take numbers too, as seconds or milliseconds by their size."""
Side = Literal["buy", "sell"]
ClientId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:\-]{1,36}$")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewOrder(_Request):
    """An order. With a `client_order_id` it may be sent again without harm: the venue takes it once."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"symbol": "CIFT-USD", "side": "buy", "price": "100.25", "quantity": "1.5", "client_order_id": "my-1"},
                {"symbol": "CIFT-USD", "side": "sell", "type": "market", "quantity": "0.5"},
            ]
        },
    )

    symbol: Annotated[str, StringConstraints(max_length=32)] = Field(examples=["CIFT-USD"])
    side: Side
    quantity: Decimal = Field(description="A multiple of the symbol's lot.", examples=["1.5"])
    type: Literal["limit", "market", "stop", "stop_limit"] = "limit"
    time_in_force: Literal["day", "gtc", "gtd", "ioc", "fok"] | None = Field(
        None, description="Left out: gtc, and ioc for a market order."
    )
    price: Decimal | None = Field(
        None, description="A multiple of the tick; limit and stop_limit.", examples=["100.25"]
    )
    stop_price: Decimal | None = Field(None, description="Elects a stop or stop_limit order.")
    display_quantity: Decimal | None = Field(None, description="An iceberg shows this much at once.")
    post_only: bool = False
    self_trade_prevention: Literal["none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"] = "none"
    expires_at: Time | None = Field(None, description="gtd only; RFC 3339.")
    client_order_id: ClientId | None = None


class NewOrders(_Request):
    """Orders to place in this order, each for itself."""

    orders: list[NewOrder] = Field(min_length=1, max_length=MAX_BATCH)


class Change(_Request):
    """What to change of an order; quantity is the new total, what was filled included."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"quantity": "1"}]})

    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None


class Fill(BaseModel):
    id: int
    price: str
    quantity: str
    maker_order_id: int
    taker_order_id: int


class Order(BaseModel):
    id: int
    client_order_id: str
    symbol: str
    side: Side
    type: str
    time_in_force: str
    price: str | None
    stop_price: str | None
    quantity: str
    display_quantity: str | None
    filled: str
    remaining: str
    average_price: str | None
    post_only: bool
    self_trade_prevention: str
    status: Literal["waiting", "open", "partially_filled", "filled", "canceled", "expired"]
    reason: str | None = Field(description="Why it was cancelled or has expired.")
    expires_at: str | None
    created_at: str
    updated_at: str
    sequence: int = Field(description="The venue's sequence number of the last change.")


class Placed(Order):
    trades: list[Fill]


class Problem(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:cift:problem:invalid-input"])
    title: str
    status: int
    detail: str
    request_id: str | None = None


class BatchResult(BaseModel):
    """As many results as orders, in their order: the order, or the problem that kept it from being taken."""

    results: list[Placed | Problem]


class Cancelled(BaseModel):
    cancelled: list[int]


class Level(BaseModel):
    price: str
    quantity: str
    orders: int


class Book(BaseModel):
    symbol: str
    sequence: int
    bids: list[Level]
    asks: list[Level]


class Symbol(BaseModel):
    symbol: str
    base: str
    quote: str
    tick: str
    lot: str
    max_price: str
    max_quantity: str
    state: Literal["open", "halted", "closed", "unknown"]
    last_price: str | None


class Trade(BaseModel):
    id: int
    symbol: str
    price: str
    quantity: str
    taker_side: Side
    time: str
    sequence: int


class Trades(BaseModel):
    trades: list[Trade]
    next_cursor: str | None


class Orders(BaseModel):
    orders: list[Order]
    next_cursor: str | None


class Kline(BaseModel):
    open_time: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int


class Klines(BaseModel):
    symbol: str
    interval: str
    klines: list[Kline]


class Forecast(BaseModel):
    symbol: str
    sequence: int = Field(description="The last command that it takes into account.")
    horizon: int = Field(description="Changes of the book that it looks ahead.")
    expected_move_bps: float = Field(description="Of the mid-price, in basis points.")
    expected_flow: float = Field(
        description="Order-flow imbalance over the horizon, in average quantities at the best quotes; positive: buying."
    )
    model: str
    device: Literal["cpu", "cuda"]


class Position(BaseModel):
    symbol: str
    quantity: str
    open_buy: str
    open_sell: str
    cash: str = Field(description="Quote currency received less paid.")
    last_price: str | None
    value: str
    profit: str


class Positions(BaseModel):
    sequence: int
    positions: list[Position]


class Account(BaseModel):
    account: str
    scopes: list[str]
    demo: bool
    open_orders: int
    limits: dict[str, str]


class Health(BaseModel):
    status: str
    version: str


class Ready(BaseModel):
    model_config = ConfigDict(extra="allow")

    status: str
    details: dict[str, Any]


class OwnTrade(BaseModel):
    id: int
    symbol: str
    order_id: int
    side: Side
    liquidity: Literal["maker", "taker", "both"]
    price: str
    quantity: str
    time: str
    sequence: int


class AccountTrades(BaseModel):
    trades: list[OwnTrade]
    next_cursor: str | None
