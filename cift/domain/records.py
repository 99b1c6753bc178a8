"""The core's records as Python sees them, and the journal's: fixed-size, little-endian.

The layouts of commands and events are the matching core's contract (``rust_core/python/cift_core.pyi``); a test compares
them. A journal record is a command followed by the client order id: length (1), text (36), zero (3); 128 bytes in all.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

COMMAND = struct.Struct("<QQIBBBBBB6xQQQQqqQ")
INSTRUMENT = struct.Struct("<QQIBB10xqQqq24x")
EVENT = struct.Struct("<QQIBBBBIIQQqQQQQQQQqQ")
CLIENT_ID = struct.Struct("<B36s3x")
RECORD_SIZE = COMMAND.size + CLIENT_ID.size
STAMP = struct.Struct("<QQ")
"""Sequence and time, at the head of a command."""
ORDER_ID_AT = 40
"""Offset of the order id in a command."""


class CommandKind(IntEnum):
    NEW = 1
    CANCEL = 2
    REPLACE = 3
    MASS_CANCEL = 4
    DEFINE = 5
    SET_STATE = 6
    CLOCK = 7


class EventKind(IntEnum):
    ACCEPTED = 1
    REJECTED = 2
    TRADE = 3
    RESTED = 4
    CANCELED = 5
    EXPIRED = 6
    REPLACED = 7
    TRIGGERED = 8
    RESTATED = 9
    MASS_CANCELED = 10
    INSTRUMENT = 11


class Side(IntEnum):
    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    LIMIT = 1
    MARKET = 2
    STOP = 3
    STOP_LIMIT = 4


class TimeInForce(IntEnum):
    DAY = 1
    GTC = 2
    GTD = 3
    IOC = 4
    FOK = 5


class SelfTrade(IntEnum):
    ALLOW = 0
    CANCEL_NEWEST = 1
    CANCEL_OLDEST = 2
    CANCEL_BOTH = 3
    DECREMENT = 4


class Reason(IntEnum):
    NONE = 0
    UNKNOWN_KIND = 1
    UNKNOWN_INSTRUMENT = 2
    NOT_OPEN = 3
    INVALID_CODE = 4
    INVALID_COMBINATION = 5
    INVALID_ACCOUNT = 6
    INVALID_ORDER_ID = 7
    INVALID_PRICE = 8
    OFF_TICK = 9
    OUTSIDE_BAND = 10
    INVALID_STOP_PRICE = 11
    INVALID_QUANTITY = 12
    OFF_LOT = 13
    INVALID_DISPLAY = 14
    INVALID_EXPIRY = 15
    BOOK_FULL = 16
    WOULD_CROSS = 17
    UNKNOWN_ORDER = 18
    QUANTITY_TOO_LOW = 19
    INVALID_INSTRUMENT = 20
    NOT_EMPTY = 21
    REQUESTED = 64
    MASS_CANCEL = 65
    SELF_TRADE = 66
    UNFILLED = 67
    NOT_FILLABLE = 68
    TIME_REACHED = 69
    SESSION_CLOSED = 70
    REFRESHED = 71
    # The venue's own refusals, before the core.
    MAX_NOTIONAL = 128
    MAX_POSITION = 129
    COLLAR = 130
    CLIENT_ID_TAKEN = 131
    JOURNAL = 132


POST_ONLY = 1
OPEN, HALTED, CLOSED = 1, 2, 3


class Command(NamedTuple):
    """A command, in the order of its record; sequence and time are the matcher's to give."""

    sequence: int = 0
    time: int = 0
    instrument: int = 0
    kind: int = 0
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


class Event(NamedTuple):
    """An event of the core, in the order of its record."""

    sequence: int
    time: int
    instrument: int
    kind: int
    side: int
    reason: int
    level_side: int
    ordinal: int
    level_orders: int
    order_id: int
    account: int
    price: int
    quantity: int
    remaining: int
    visible: int
    maker_order_id: int
    maker_account: int
    maker_remaining: int
    trade_id: int
    level_price: int
    level_quantity: int


def record(command: Command, client_id: bytes = b"") -> bytes:
    """A journal record; ``client_id`` is at most 36 bytes."""
    return COMMAND.pack(*command) + CLIENT_ID.pack(len(client_id), client_id)


def client_id(of_record: bytes) -> bytes:
    length = of_record[COMMAND.size]
    return of_record[COMMAND.size + 1 : COMMAND.size + 1 + length]


def commands(payload: bytes) -> bytes:
    """The commands of journal records end to end, as the core takes them."""
    size = COMMAND.size
    return b"".join([payload[at : at + size] for at in range(0, len(payload), RECORD_SIZE)])


def events(data: bytes) -> list[Event]:
    return [Event._make(fields) for fields in EVENT.iter_unpack(data)]
