"""Pre-trade risk: what is refused before it reaches the core. Integers in, a reason out."""

from __future__ import annotations

from dataclasses import dataclass

from cift.domain.ledger import Position
from cift.domain.records import OrderType, Reason, Side


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one instrument, in ticks times lots; ``collar`` in parts per million of the last price, 0 for none."""

    notional: int
    position: int
    collar: int


def refusal(
    limits: Limits, side: int, type_: int, price: int, quantity: int, position: Position, reserved: int, last: int
) -> Reason | None:
    """Why an order of ``quantity`` more lots is not taken, or None.

    ``reserved`` is what orders of the same side, account and batch ask for that the position does not count yet. A market
    order is valued at the last price; without one nothing is known and only the core's own limits hold.
    """
    value = price if type_ in (OrderType.LIMIT, OrderType.STOP_LIMIT) else last
    if value * quantity > limits.notional:
        return Reason.MAX_NOTIONAL
    worst = (
        position.net + position.open_buy + reserved + quantity
        if side == Side.BUY
        else position.open_sell + reserved + quantity - position.net
    )
    if value * worst > limits.position:
        return Reason.MAX_POSITION
    if limits.collar and last and type_ == OrderType.LIMIT:
        distance = price - last if side == Side.BUY else last - price
        if distance * 1_000_000 > last * limits.collar:
            return Reason.COLLAR
    return None
