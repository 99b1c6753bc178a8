"""What the venue knows beside the books: orders by client order id, positions, exposure. A pure function of commands and events.

Orders that are done are remembered up to a number, the oldest forgotten first; those that live are never forgotten.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Any

from cift.domain.records import COMMAND, RECORD_SIZE, Command, Event, EventKind, Reason, Side, TimeInForce, client_id

_ORDER = struct.Struct("<QQQQQQI8BIQQqqQQQQ37s")
ORDER_SIZE = _ORDER.size
_POSITION = struct.Struct("<QIqQQ")
_LAST = struct.Struct("<Iq")
_HEAD = struct.Struct("<QQQQQ")
_LOW = 2**64 - 1


class Status(IntEnum):
    WAITING = 1
    """A stop that was not triggered yet."""
    OPEN = 2
    FILLED = 3
    CANCELED = 4
    EXPIRED = 5


@dataclass(slots=True)
class Order:
    """An order as it stands; quantities in lots, prices in ticks, times in nanoseconds, notional in ticks times lots.

    ``sequence`` is the last command that changed it; ``origin`` is a checksum of the command that it came with.
    """

    id: int
    account: int
    created: int
    updated: int
    sequence: int
    expiry: int
    instrument: int
    side: int
    type: int
    tif: int
    self_trade: int
    flags: int
    status: int
    reason: int
    origin: int
    quantity: int
    display: int
    price: int
    stop_price: int
    remaining: int
    filled: int
    notional: int
    client_id: bytes

    def pack(self) -> bytes:
        return _ORDER.pack(
            self.id,
            self.account,
            self.created,
            self.updated,
            self.sequence,
            self.expiry,
            self.instrument,
            self.side,
            self.type,
            self.tif,
            self.self_trade,
            self.flags,
            self.status,
            self.reason,
            0,
            self.origin,
            self.quantity,
            self.display,
            self.price,
            self.stop_price,
            self.remaining,
            self.filled,
            self.notional & _LOW,
            self.notional >> 64,
            bytes((len(self.client_id),)) + self.client_id,
        )

    @classmethod
    def unpack(cls, data: bytes) -> Order:
        f = _ORDER.unpack(data)
        fields: list[Any] = [*f[:14], *f[15:22], f[22] | f[23] << 64, f[24][1 : 1 + f[24][0]]]
        return cls(*fields)


@dataclass(slots=True)
class Position:
    """Net lots; cash in ticks times lots (sells less buys); lots of live orders on either side."""

    net: int = 0
    cash: int = 0
    open_buy: int = 0
    open_sell: int = 0


def origin(of_record: bytes) -> int:
    """What tells a retry from another order under the same client order id: all that the client chose."""
    return zlib.crc32(of_record[16:40] + of_record[48:88])


class Ledger:
    """Orders, positions and last prices after the commands so far."""

    def __init__(self, remember: int) -> None:
        self._remember = remember
        self.live: dict[int, Order] = {}
        self._done: dict[int, bytes] = {}
        self._ids: dict[tuple[int, bytes], int] = {}
        self.positions: dict[tuple[int, int], Position] = {}
        self.last: dict[int, int] = {}

    def apply(self, payload: bytes, events: Iterable[Event]) -> None:
        """Take in the events that the core answered to journal records."""
        first = COMMAND.unpack_from(payload)[0] if payload else 0
        for event in events:
            kind = event.kind
            if kind == EventKind.TRADE:
                self._trade(event)
            elif kind == EventKind.ACCEPTED:
                self._accept(event, payload, (event.sequence - first) * RECORD_SIZE)
            elif kind == EventKind.RESTED or kind == EventKind.TRIGGERED:
                order = self.live[event.order_id]
                order.status = Status.OPEN
                order.sequence, order.updated = event.sequence, event.time
            elif kind == EventKind.CANCELED or kind == EventKind.EXPIRED:
                order = self.live[event.order_id]
                self._remaining(order, 0, event)
                order.reason = event.reason
                self._finish(order, Status.CANCELED if kind == EventKind.CANCELED else Status.EXPIRED)
            elif kind == EventKind.REPLACED:
                order = self.live[event.order_id]
                order.quantity, order.price = event.quantity, event.price
                at = (event.sequence - first) * RECORD_SIZE
                command = Command._make(COMMAND.unpack_from(payload, at))
                order.display = command.display
                if order.status == Status.WAITING:
                    order.stop_price = command.stop_price
                self._remaining(order, event.remaining, event)
            elif kind == EventKind.RESTATED and event.reason == Reason.SELF_TRADE:
                order = self.live[event.order_id]
                order.quantity -= event.quantity
                self._remaining(order, event.remaining, event)
                if not event.remaining:
                    order.reason = event.reason
                    self._finish(order, Status.CANCELED)

    def _accept(self, event: Event, payload: bytes, at: int) -> None:
        raw = payload[at : at + RECORD_SIZE]
        command = Command._make(COMMAND.unpack_from(raw))
        order = Order(
            id=event.order_id,
            account=event.account,
            created=event.time,
            updated=event.time,
            sequence=event.sequence,
            expiry=command.expiry,
            instrument=event.instrument,
            side=event.side,
            type=command.type,
            tif=command.tif,
            self_trade=command.self_trade,
            flags=command.flags,
            status=Status.WAITING,
            reason=0,
            origin=origin(raw),
            quantity=command.quantity,
            display=command.display,
            price=command.price,
            stop_price=command.stop_price,
            remaining=0,
            filled=0,
            notional=0,
            client_id=client_id(raw),
        )
        self.live[order.id] = order
        self._ids[order.account, order.client_id] = order.id
        self._remaining(order, command.quantity, event)

    def _trade(self, event: Event) -> None:
        taker, maker = self.live[event.order_id], self.live[event.maker_order_id]
        notional = event.price * event.quantity
        self.last[event.instrument] = event.price
        for order, remaining in ((taker, event.remaining), (maker, event.maker_remaining)):
            order.filled += event.quantity
            order.notional += notional
            position = self._remaining(order, remaining, event)
            if order.side == Side.BUY:
                position.net += event.quantity
                position.cash -= notional
            else:
                position.net -= event.quantity
                position.cash += notional
            if not remaining:
                self._finish(order, Status.FILLED)

    def _remaining(self, order: Order, remaining: int, event: Event) -> Position:
        key = (order.account, order.instrument)
        position = self.positions.get(key)
        if position is None:
            position = self.positions[key] = Position()
        if order.side == Side.BUY:
            position.open_buy += remaining - order.remaining
        else:
            position.open_sell += remaining - order.remaining
        order.remaining = remaining
        order.sequence, order.updated = event.sequence, event.time
        return position

    def _finish(self, order: Order, status: Status) -> None:
        order.status = status
        del self.live[order.id]
        self._done[order.id] = order.pack()
        if len(self._done) > self._remember:
            oldest = next(iter(self._done))
            forgotten = Order.unpack(self._done.pop(oldest))
            key = (forgotten.account, forgotten.client_id)
            if self._ids.get(key) == oldest:
                del self._ids[key]

    def order(self, order_id: int) -> Order | None:
        """A live or remembered order."""
        if (live := self.live.get(order_id)) is not None:
            return live
        done = self._done.get(order_id)
        return None if done is None else Order.unpack(done)

    def find(self, account: int, client: bytes) -> int | None:
        """The id of the order that came under a client order id."""
        return self._ids.get((account, client))

    def open_orders(self, account: int, instrument: int = 0) -> list[Order]:
        return [o for o in self.live.values() if o.account == account and instrument in (0, o.instrument)]

    def next_expiry(self) -> int | None:
        """When the next good-till-date order is due, in nanoseconds."""
        return min((o.expiry for o in self.live.values() if o.tif == TimeInForce.GTD), default=None)

    def snapshot(self) -> bytes:
        """The state in canonical form: equal states give equal bytes."""
        positions = sorted(self.positions.items())
        parts = [
            _HEAD.pack(self._remember, len(self.live), len(self._done), len(positions), len(self.last)),
            *(self.live[order].pack() for order in sorted(self.live)),
            *self._done.values(),
            *(_POSITION.pack(*k, p.net, p.open_buy, p.open_sell) + _wide(p.cash) for k, p in positions),
            *(_LAST.pack(*item) for item in sorted(self.last.items())),
        ]
        return b"".join(parts)

    @classmethod
    def restore(cls, data: bytes) -> Ledger:
        """The ledger that a snapshot was taken of.

        Raises:
            ValueError: it is cut short or too long.
        """
        remember, live, done, positions, last = _HEAD.unpack_from(data)
        sizes = [ORDER_SIZE] * (live + done) + [_POSITION.size + 16] * positions + [_LAST.size] * last
        if len(data) != _HEAD.size + sum(sizes):
            raise ValueError("a ledger's snapshot has the wrong length")
        ledger, parts = cls(remember), _parts(data, _HEAD.size, sizes)
        for raw in islice(parts, live):
            order = Order.unpack(raw)
            ledger.live[order.id] = order
            ledger._ids[order.account, order.client_id] = order.id
        for raw in islice(parts, done):
            order_id, account = struct.unpack_from("<QQ", raw)
            ledger._done[order_id] = raw
            client = raw[-37:]
            ledger._ids.setdefault((account, client[1 : 1 + client[0]]), order_id)
        for raw in islice(parts, positions):
            account, instrument, net, buys, sells = _POSITION.unpack_from(raw)
            cash = int.from_bytes(raw[_POSITION.size :], "little", signed=True)
            ledger.positions[account, instrument] = Position(net, cash, buys, sells)
        for raw in parts:
            instrument, price = _LAST.unpack(raw)
            ledger.last[instrument] = price
        return ledger


def _wide(value: int) -> bytes:
    return value.to_bytes(16, "little", signed=True)


def _parts(data: bytes, at: int, sizes: Iterable[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[at : at + size]
        at += size
