"""The codes of ``cift_core.pyi``; a test compares them with the binding's."""

from enum import IntEnum


class CommandKind(IntEnum):
    NEW, CANCEL, REPLACE, MASS_CANCEL, DEFINE, SET_STATE, CLOCK = range(1, 8)


class EventKind(IntEnum):
    ACCEPTED, REJECTED, TRADE, RESTED, CANCELED, EXPIRED, REPLACED, TRIGGERED, RESTATED, MASS_CANCELED, INSTRUMENT = (
        range(1, 12)
    )


class Side(IntEnum):
    BUY, SELL = 1, 2


class OrderType(IntEnum):
    LIMIT, MARKET, STOP, STOP_LIMIT = range(1, 5)


class TimeInForce(IntEnum):
    DAY, GTC, GTD, IOC, FOK = range(1, 6)


class SelfTrade(IntEnum):
    ALLOW, CANCEL_NEWEST, CANCEL_OLDEST, CANCEL_BOTH, DECREMENT = range(5)


class Flag(IntEnum):
    POST_ONLY = 1


class InstrumentState(IntEnum):
    OPEN, HALTED, CLOSED = range(1, 4)


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


RESTING = frozenset((TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD))
STOPS = frozenset((OrderType.STOP, OrderType.STOP_LIMIT))
LIMITS = frozenset((OrderType.LIMIT, OrderType.STOP_LIMIT))

MAX_PRICE = 2**53 - 1
MAX_QUANTITY = 2**53 - 1
MAX_OPEN = 2**63 - 1
MAX_SLICES = 1000
MAX_INSTRUMENT = 65_535
