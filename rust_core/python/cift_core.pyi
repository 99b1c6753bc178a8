"""The matching core of CIFT Markets: a pure, deterministic function of its command sequence.

Commands go in and events come out as fixed-size little-endian records, any number of them end to end in one buffer:

>>> import struct, cift_core as core
>>> venue = core.Core()
>>> define = struct.pack(core.INSTRUMENT_FORMAT, 1, 0, 7, core.CommandKind.DEFINE, core.InstrumentState.OPEN, 1, 1, 1, core.MAX_PRICE)
>>> buy = struct.pack(core.COMMAND_FORMAT, 2, 0, 7, core.CommandKind.NEW, core.Side.BUY, core.OrderType.LIMIT,
...                   core.TimeInForce.GTC, core.SelfTrade.CANCEL_NEWEST, 0, 100, 1, 5, 0, 250, 0, 0)
>>> [core.EventKind(event[3]).name for event in struct.iter_unpack(core.EVENT_FORMAT, venue.apply(define + buy))]
['INSTRUMENT', 'ACCEPTED', 'RESTED']

The rules of matching stand in ``rust_core/book/RULES.md``. Nothing here reads a clock: time is a field of commands.

Command, `COMMAND_FORMAT` (`COMMAND_SIZE` = 88 bytes), fields in order:

==========  ====  ==============================================================================================
sequence    u64   strictly increasing over the life of a core (gaps are fine); the core remembers the last one
timestamp   u64   nanoseconds; the core's time is the highest seen. GTD orders that are due expire before the command
instrument  u32   1 to `MAX_INSTRUMENT`; 0 in MASS_CANCEL means all. Not read by CANCEL, REPLACE and CLOCK
kind        u8    `CommandKind`
side        u8    `Side`; 0 in MASS_CANCEL means both
type        u8    `OrderType` (NEW)
tif         u8    `TimeInForce` (NEW)
self_trade  u8    `SelfTrade` (NEW): the mode of the incoming order counts
flags       u8    bits of `Flag` (NEW)
(6 bytes)         zero
account     u64   not 0 in NEW; CANCEL and REPLACE must name the order's account; 0 in MASS_CANCEL means all
order_id    u64   NEW: higher than the id of every order accepted so far (engine-unique, also after an order is gone)
quantity    u64   lots. REPLACE: the order's new total, what has traded included (FIX OrderQty)
display     u64   lots shown at once of an iceberg; 0 shows all. REPLACE: the new display
price       i64   ticks; 0 for MARKET and STOP
stop_price  i64   ticks; 0 unless STOP or STOP_LIMIT. REPLACE: read only while the stop waits
expiry      u64   nanoseconds; GTD only, else 0
==========  ====  ==============================================================================================

DEFINE (a new instrument, or new terms for one) and SET_STATE, `INSTRUMENT_FORMAT` (same 88 bytes): sequence, timestamp,
instrument, kind, state (`InstrumentState`), then 10 bytes of zero and tick i64, lot u64, low i64, high i64 (price band,
both ends allowed); SET_STATE reads the state only. Fields that a kind does not use are not read.

Event, `EVENT_FORMAT` (`EVENT_SIZE` = 128 bytes), fields in order:

===============  ====  =========================================================================================
sequence         u64   of the command that caused it
timestamp        u64   the core's time, nanoseconds
instrument       u32
kind             u8    `EventKind`
side             u8    of `order_id`'s order: the taker's in a trade
reason           u8    `Reason`
level_side       u8    0: no level of the book changed; else the `Side` of the level in the level fields
index            u32   number of the event within its command, from 0: (sequence, index) names an event
level_orders     u32   orders at `level_price` after the event
order_id         u64   the taker in a trade
account          u64   of `order_id`'s order
price            i64   of the trade (the maker's price); else the order's limit price
quantity         u64   of this event, lots: see below
remaining        u64   what is left of `order_id`'s order, hidden part included
visible          u64   what the book displays of the order that rests (in a trade: of the maker)
maker_order_id   u64   TRADE only, as the next three
maker_account    u64
maker_remaining  u64   hidden part included; 0: the maker is filled and gone
trade_id         u64   1, 2, 3, … over all instruments
level_price      i64   the level that this event changed, and what it displays after it: an L2 delta
level_quantity   u64
===============  ====  =========================================================================================

==============  =====================================================================================================
ACCEPTED        a NEW was taken; quantity: its total. Then TRADE, RESTED, CANCELED, … follow. A stop waits silently
REJECTED        the command changed nothing (but sequence and time); order_id, account, side, price, quantity as sent (0 of
                DEFINE and SET_STATE)
TRADE           quantity traded; `remaining` 0: the taker is filled
RESTED          what remains entered the book at `price`; quantity = remaining; also a triggered or replaced order
CANCELED        quantity: what was taken away, remaining 0. REQUESTED, MASS_CANCEL, SELF_TRADE, UNFILLED (the rest of IOC and
                market orders), NOT_FILLABLE (FOK). The level fields are set if the order stood in the book
EXPIRED         as CANCELED; TIME_REACHED (GTD) or SESSION_CLOSED (DAY)
REPLACED        quantity: new total; level fields: the level that the order left, or in which it kept its place (then `visible`
                is not 0). An order that lost its place trades or rests again: TRADE, RESTED, … follow
TRIGGERED       a stop was elected and now acts as market or limit order; quantity = remaining
RESTATED        REFRESHED: an iceberg shows its next slice, at the end of its level; quantity: the slice. SELF_TRADE: the
                order was decremented by quantity without a trade (of its total too)
MASS_CANCELED   after the CANCELED of each order, by order id; quantity: how many
INSTRUMENT      a DEFINE or SET_STATE was taken (after the EXPIRED of day orders, if it closed)
==============  =====================================================================================================

Order, `ORDER_FORMAT` (`ORDER_SIZE` = 80 bytes), of `Core.orders`, `Core.order` and snapshots: order_id, account, quantity
(total), remaining, visible, display u64; price, stop_price i64; expiry u64; side, type, tif, self_trade, flags, waiting u8
(1: a stop that was not triggered yet).
"""

from enum import IntEnum
from typing import final

from typing_extensions import Buffer

__version__: str

COMMAND_SIZE: int
COMMAND_FORMAT: str
INSTRUMENT_FORMAT: str
EVENT_SIZE: int
EVENT_FORMAT: str
ORDER_SIZE: int
ORDER_FORMAT: str
MAX_PRICE: int
"""Highest price, in ticks."""
MAX_QUANTITY: int
"""Highest quantity of an order, in lots."""
MAX_OPEN: int
"""Highest sum of what remains of all orders of one instrument, in lots; what would pass it is rejected as BOOK_FULL."""
MAX_SLICES: int
"""Highest number of slices of an iceberg: quantity / display, rounded up."""
MAX_INSTRUMENT: int
"""Highest instrument number."""

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

class Flag(IntEnum):
    POST_ONLY = 1

class InstrumentState(IntEnum):
    OPEN = 1
    HALTED = 2
    CLOSED = 3

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

@final
class Core:
    """All books of a venue. Threads may share one: calls wait for each other, and none holds the GIL while it works."""

    def __init__(self) -> None: ...
    def apply(self, commands: Buffer) -> bytes:
        """The events of the commands, in order.

        Args:
            commands: a contiguous buffer of bytes (``bytes`` is taken without a copy), a multiple of `COMMAND_SIZE` long.

        Raises:
            ValueError: the length is no multiple, or a sequence is not higher than the one before it; nothing was applied.
        """

    def snapshot(self) -> bytes:
        """The whole state in canonical form, SHA-256 at its end: equal states give equal bytes."""

    @staticmethod
    def restore(snapshot: Buffer) -> Core:
        """The core that a snapshot was taken of; from here on it answers as that one would.

        Raises:
            ValueError: it is no snapshot, is damaged, or holds a state that no core can be in.
        """

    def state_hash(self) -> bytes:
        """SHA-256 of the canonical state, 32 bytes: the last 32 of `snapshot`. Time is linear in the orders that live."""

    def depth(self, instrument: int, levels: int) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """L2: bids and asks, best first, as (price, displayed quantity, orders).

        Raises:
            KeyError: no such instrument.
        """

    def orders(self, instrument: int) -> bytes:
        """L3: `ORDER_FORMAT` records of bids, asks, waiting buy stops and waiting sell stops, each in order of priority.

        Hidden quantity is in it: a public feed shows ``visible`` alone.

        Raises:
            KeyError: no such instrument.
        """

    def order(self, order_id: int) -> bytes | None:
        """The `ORDER_FORMAT` record of an order that lives, or None."""

    def instrument(self, instrument: int) -> tuple[int, int, int, int, int, int]:
        """(state, tick, lot, low, high, last trade price or 0).

        Raises:
            KeyError: no such instrument.
        """

    def instruments(self) -> list[int]:
        """Numbers of the instruments defined so far, ascending."""

    def __len__(self) -> int:
        """Orders that live: in the books, and stops that wait."""

    @property
    def sequence(self) -> int:
        """Of the last command applied; 0 before the first."""

    @property
    def timestamp(self) -> int:
        """The core's time, nanoseconds."""

    @property
    def last_order_id(self) -> int:
        """Of the order accepted last: the next one's must be higher."""

    @property
    def last_trade_id(self) -> int: ...
