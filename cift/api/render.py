"""The domain as JSON: decimals as strings, times as RFC 3339 in UTC, names in lower case."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cift.domain.instruments import BY_NUMBER, Instrument
from cift.domain.ledger import Order, Position, Status
from cift.domain.records import POST_ONLY, OrderType, Reason, SelfTrade, Side, TimeInForce
from cift.ports.history import Trade
from cift.use_cases.orders import Fill, Placed

_SIDES = {s.value: s.name.lower() for s in Side}
_TYPES = {t.value: t.name.lower() for t in OrderType}
_TIMES = {t.value: t.name.lower() for t in TimeInForce}
_SELF = {s.value: "none" if s == SelfTrade.ALLOW else s.name.lower() for s in SelfTrade}
_STATUS = {s.value: s.name.lower() for s in Status}
_REASONS = {r.value: r.name.lower() for r in Reason}


def time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest // 1000:06d}Z"


def order(order: Order) -> dict[str, Any]:
    traded = BY_NUMBER[order.instrument]
    status = _STATUS[order.status]
    if order.status == Status.OPEN and order.filled:
        status = "partially_filled"
    return {
        "id": order.id,
        "client_order_id": order.client_id.decode("ascii", "replace"),
        "symbol": traded.symbol,
        "side": _SIDES[order.side],
        "type": _TYPES[order.type],
        "time_in_force": _TIMES[order.tif],
        "price": traded.price(order.price) if order.price else None,
        "stop_price": traded.price(order.stop_price) if order.stop_price else None,
        "quantity": traded.quantity(order.quantity),
        "display_quantity": traded.quantity(order.display) if order.display else None,
        "filled": traded.quantity(order.filled),
        "remaining": traded.quantity(order.remaining),
        "average_price": average(traded, order.notional, order.filled),
        "post_only": bool(order.flags & POST_ONLY),
        "self_trade_prevention": _SELF[order.self_trade],
        "status": status,
        "reason": _REASONS[order.reason] if order.reason else None,
        "expires_at": time(order.expiry) if order.expiry else None,
        "created_at": time(order.created),
        "updated_at": time(order.updated),
        "sequence": order.sequence,
    }


def average(traded: Instrument, notional: int, quantity: int) -> str | None:
    """The average price, four places finer than the tick, rounded down."""
    if not quantity:
        return None
    digits = str(notional * 10_000 // quantity).rjust(traded.price_places + 5, "0")
    places = traded.price_places + 4
    return f"{digits[:-places]}.{digits[-places:]}"


def placed(done: Placed) -> dict[str, Any]:
    traded = BY_NUMBER[done.order.instrument]
    return {**order(done.order), "trades": [fill(traded, one, done.order) for one in done.fills]}


def fill(traded: Instrument, fill: Fill, order: Order) -> dict[str, Any]:
    return {
        "id": fill.trade_id,
        "price": traded.price(fill.price),
        "quantity": traded.quantity(fill.quantity),
        "maker_order_id": fill.maker_order_id,
        "taker_order_id": order.id,
    }


def levels(traded: Instrument, rows: list[tuple[int, int, int]] | list[list[int]]) -> list[dict[str, Any]]:
    return [{"price": traded.price(p), "quantity": traded.quantity(q), "orders": n} for p, q, n in rows]


def position(traded: Instrument, held: Position, last: int) -> dict[str, Any]:
    return {
        "symbol": traded.symbol,
        "quantity": traded.quantity(held.net),
        "open_buy": traded.quantity(held.open_buy),
        "open_sell": traded.quantity(held.open_sell),
        "cash": traded.amount(held.cash),
        "last_price": traded.price(last) if last else None,
        "value": traded.amount(held.net * last),
        "profit": traded.amount(held.cash + held.net * last),
    }


def own_trade(trade: Trade, account: int) -> dict[str, Any]:
    """A trade as one of its two accounts sees it."""
    traded = BY_NUMBER[trade.instrument]
    took, made = trade.taker_account == account, trade.maker_account == account
    side = trade.side if took else Side.SELL + Side.BUY - trade.side
    return {
        "id": trade.id,
        "symbol": traded.symbol,
        "order_id": trade.taker_order if took else trade.maker_order,
        "side": _SIDES[side],
        "liquidity": "both" if took and made else "taker" if took else "maker",
        "price": traded.price(trade.price),
        "quantity": traded.quantity(trade.quantity),
        "time": time(trade.time),
        "sequence": trade.sequence,
    }
