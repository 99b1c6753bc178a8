"""Commands, events and orders as values, and the records that they cross the boundary as."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

_COMMAND = struct.Struct("<QQIBBBBBB6xQQQQqqQ")
_INSTRUMENT = struct.Struct("<QQIBB10xqQqq24x")
_EVENT = struct.Struct("<QQIBBBBIIQQqQQQQQQQqQ")
_ORDER = struct.Struct("<QQQQQQqqQBBBBBBxx")


class Terms(NamedTuple):
    state: int
    tick: int
    lot: int
    low: int
    high: int


class Command(NamedTuple):
    sequence: int
    timestamp: int
    instrument: int
    kind: int
    side: int = 0
    type: int = 0
    tif: int = 0
    self_trade: int = 0
    flags: int = 0
    account: int = 0
    order_id: int = 0
    quantity: int = 0
    display: int = 0
    price: int = 0
    stop_price: int = 0
    expiry: int = 0
    terms: Terms | None = None

    def pack(self) -> bytes:
        if self.terms is not None:
            return _INSTRUMENT.pack(*self[:4], *self.terms)
        return _COMMAND.pack(*self[:16])


class Event(NamedTuple):
    sequence: int
    timestamp: int
    instrument: int
    kind: int
    side: int = 0
    reason: int = 0
    level_side: int = 0
    index: int = 0
    level_orders: int = 0
    order_id: int = 0
    account: int = 0
    price: int = 0
    quantity: int = 0
    remaining: int = 0
    visible: int = 0
    maker_order_id: int = 0
    maker_account: int = 0
    maker_remaining: int = 0
    trade_id: int = 0
    level_price: int = 0
    level_quantity: int = 0

    def pack(self) -> bytes:
        return _EVENT.pack(*self)

    @classmethod
    def unpack_all(cls, events: bytes) -> list[Event]:
        return [cls(*fields) for fields in _EVENT.iter_unpack(events)]


@dataclass(slots=True)
class Order:
    """An order that lives; ``visible`` is the rest of its slice, 0 while it is not in the book."""

    instrument: int
    id: int
    account: int
    side: int
    type: int
    tif: int
    self_trade: int
    flags: int
    quantity: int
    remaining: int
    display: int
    price: int
    stop_price: int
    expiry: int
    waiting: bool
    visible: int = 0

    @property
    def traded(self) -> int:
        return self.quantity - self.remaining

    def slice(self) -> int:
        return min(self.display, self.remaining) if self.display else self.remaining

    def pack(self) -> bytes:
        sizes = (self.quantity, self.remaining, self.visible, self.display)
        codes = (self.side, self.type, self.tif, self.self_trade, self.flags, self.waiting)
        return _ORDER.pack(self.id, self.account, *sizes, self.price, self.stop_price, self.expiry, *codes)
