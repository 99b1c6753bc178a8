"""Commands in, one durable batch at a time, results out: the matcher without its sockets.

`admit` decides what is worth a sequence number and completes the records; `commit` makes them durable and applies them.
Nothing of a batch is applied before it is durable, and nothing is answered before it is applied.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from cift.adapters import frames
from cift.adapters.journal import Journal
from cift.adapters.state import State
from cift.domain import risk
from cift.domain.instruments import INSTRUMENTS, Instrument
from cift.domain.ledger import Position, origin
from cift.domain.records import (
    CLOSED,
    COMMAND,
    INSTRUMENT,
    OPEN,
    ORDER_ID_AT,
    RECORD_SIZE,
    STAMP,
    Command,
    CommandKind,
    EventKind,
    Reason,
    TimeInForce,
    client_id,
    record,
)
from cift.errors import Unavailable

_DAY = 86_400 * 10**9
_NOBODY = Position()


@dataclass(slots=True)
class Pending:
    """A command of a worker, and where its result goes."""

    record: bytes
    answer: Callable[[bytes], None]


@dataclass(slots=True)
class Batch:
    """What was admitted together; `payload` is what goes to the journal."""

    time: int
    payload: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, int, Pending]] = field(default_factory=list)
    """Sequence (0 for a retry of a command that is in this very batch), order id, and who waits for it."""


class Sequencer:
    """Gives commands their sequence; owns state and journal (None: nothing is kept)."""

    def __init__(self, state: State, journal: Journal | None, limits: dict[int, risk.Limits]) -> None:
        self.state, self._journal, self._limits = state, journal, limits
        self._open = False

    @property
    def next(self) -> int:
        return self._journal.next if self._journal else self.state.sequence + 1

    def admit(self, commands: list[Pending]) -> Batch:
        """The batch to commit; those that need no sequence are answered at once."""
        batch = Batch(self._now())
        if not self._open:
            self._open = all(map(self._defined, INSTRUMENTS.values()))
        if not self._open:  # the journal could not be written since the venue was founded
            for pending in commands:
                pending.answer(frames.result(frames.NOT_JOURNALED, Reason.JOURNAL))
            return batch
        sequence = self.next
        reserved: dict[tuple[int, int, int], int] = defaultdict(int)
        ids: dict[tuple[int, bytes], int] = {}
        for pending in commands:
            raw = pending.record
            command = Command._make(COMMAND.unpack_from(raw))
            order_id, client = command.order_id, client_id(raw)
            if client:
                known = self.state.ledger.find(command.account, client)
                if command.kind == CommandKind.NEW:
                    if known is not None:
                        pending.answer(self._again(known, raw))
                        continue
                    if (command.account, client) in ids:
                        batch.waiting.append((0, 0, pending))
                        continue
                    reason = self._refusal(command, reserved)
                    if reason is not None:
                        pending.answer(frames.result(frames.REFUSED, reason))
                        continue
                    ids[command.account, client] = sequence
                    order_id = sequence
                else:
                    order_id = known if known is not None else ids.get((command.account, client), 0)
            if command.kind in (CommandKind.CANCEL, CommandKind.REPLACE):
                reason_or_none = self._unchangeable(command, order_id, reserved)
                if reason_or_none is not None:
                    pending.answer(reason_or_none)
                    continue
            self._add(batch, raw, sequence, order_id)
            batch.waiting.append((sequence, order_id, pending))
            sequence += 1
        return batch

    def _refusal(self, command: Command, reserved: dict[tuple[int, int, int], int]) -> Reason | None:
        limits = self._limits.get(command.instrument)
        if limits is None:
            return None
        ledger, place = self.state.ledger, (command.account, command.instrument, command.side)
        position = ledger.positions.get(place[:2], _NOBODY)
        last = ledger.last.get(command.instrument, 0)
        reason = risk.refusal(
            limits, command.side, command.type, command.price, command.quantity, position, reserved[place], last
        )
        if reason is None:
            reserved[place] += command.quantity
        return reason

    def _unchangeable(self, command: Command, order_id: int, reserved: dict[tuple[int, int, int], int]) -> bytes | None:
        """The answer for a cancel or replace that changes nothing, or None."""
        order = self.state.ledger.live.get(order_id)
        if order is None:
            if order_id >= self.next:
                return None  # it comes in this batch
            done = self.state.ledger.order(order_id)
            if done is None or done.account != command.account:
                return frames.result(frames.UNKNOWN_ORDER, Reason.UNKNOWN_ORDER)
            return frames.result(frames.REFUSED, Reason.UNKNOWN_ORDER, done.pack())
        if order.account != command.account:
            return frames.result(frames.UNKNOWN_ORDER, Reason.UNKNOWN_ORDER)
        if command.kind == CommandKind.REPLACE and order.instrument in self._limits:
            more = max(0, command.quantity - order.filled - order.remaining)
            position = self.state.ledger.positions.get((order.account, order.instrument), _NOBODY)
            place = (order.account, order.instrument, order.side)
            reason = risk.refusal(
                self._limits[order.instrument],
                order.side,
                order.type,
                command.price,
                more,
                position,
                reserved[place],
                self.state.ledger.last.get(order.instrument, 0),
            )
            if reason is None and command.price * command.quantity > self._limits[order.instrument].notional:
                reason = Reason.MAX_NOTIONAL
            if reason is not None:
                return frames.result(frames.REFUSED, reason, order.pack())
            reserved[place] += more
        return None

    def _retried(self, raw: bytes) -> bytes:
        """The answer to a new order that came twice in one batch."""
        known = self.state.ledger.find(Command._make(COMMAND.unpack_from(raw)).account, client_id(raw))
        return frames.result(frames.REFUSED) if known is None else self._again(known, raw)

    def _again(self, order_id: int, raw: bytes) -> bytes:
        """The answer to a new order whose client order id is known."""
        order = self.state.ledger.order(order_id)
        if order is None:
            return frames.result(frames.UNKNOWN_ORDER, Reason.UNKNOWN_ORDER)
        if order.origin != origin(raw):
            return frames.result(frames.REFUSED, Reason.CLIENT_ID_TAKEN, order.pack())
        return frames.result(frames.DUPLICATE, 0, order.pack())

    @staticmethod
    def _add(batch: Batch, raw: bytes, sequence: int, order_id: int) -> None:
        at = len(batch.payload)
        batch.payload += raw
        STAMP.pack_into(batch.payload, at, sequence, batch.time)
        batch.payload[at + ORDER_ID_AT : at + ORDER_ID_AT + 8] = order_id.to_bytes(8, "little")

    def _now(self) -> int:
        return max(time.time_ns(), int(self.state.core.timestamp))

    def store(self, batch: Batch) -> Exception | None:
        """Make a batch durable; runs beside the event loop, and is the only part that does."""
        if self._journal is None:
            return None
        try:
            self._journal.append(batch.time, bytes(batch.payload))
        except (Unavailable, OSError) as error:
            return error
        return None

    def refuse(self, batch: Batch, error: Exception) -> None:
        """Answer everybody whose commands could not be made durable."""
        outcome = frames.NOT_JOURNALED if isinstance(error, Unavailable) else frames.JOURNAL_UNSURE
        for _, _, pending in batch.waiting:
            pending.answer(frames.result(outcome, Reason.JOURNAL))

    def apply(self, batch: Batch) -> tuple[bytes, bytes]:
        """Apply a durable batch and answer everybody; the journal records and the core's events."""
        payload = bytes(batch.payload)
        raw, happened = self.state.apply(payload)
        size = len(raw) // len(happened) if happened else 0
        spans: dict[int, list[int]] = {}
        for index, event in enumerate(happened):
            span = spans.get(event.sequence)
            if span is None:
                spans[event.sequence] = [index, index + 1]
            else:
                span[1] = index + 1
        for sequence, order_id, pending in batch.waiting:
            if sequence == 0:
                pending.answer(self._retried(pending.record))
                continue
            first, end = spans[sequence]
            reason = next((e.reason for e in happened[first:end] if e.kind == EventKind.REJECTED), 0)
            order = self.state.ledger.order(order_id)
            outcome = frames.REFUSED if reason else frames.APPLIED
            packed = b"" if order is None else order.pack()
            pending.answer(frames.result(outcome, reason, packed, raw[first * size : end * size]))
        return payload, raw

    def housekeeping(self, trial: bool = False) -> Batch | None:
        """What the venue itself has to say by now: instruments that are new, orders that are due, the end of a day.

        With ``trial`` it has something to say in any case, which changes nothing but tells whether the journal can be written.
        """
        now = self._now()
        records = [_definition(wanted, OPEN) for wanted in INSTRUMENTS.values() if not self._defined(wanted)]
        due = self.state.ledger.next_expiry()
        if trial or (due is not None and due <= now):
            records.append(record(Command(kind=CommandKind.CLOCK)))
        if self.state.core.timestamp // _DAY < now // _DAY and any(
            order.tif == TimeInForce.DAY for order in self.state.ledger.live.values()
        ):
            for wanted in INSTRUMENTS.values():
                records += [_state(wanted, CLOSED), _state(wanted, OPEN)]
        if not records:
            return None
        batch, sequence = Batch(now), self.next
        for raw in records:
            at = len(batch.payload)
            batch.payload += raw
            STAMP.pack_into(batch.payload, at, sequence, now)
            sequence += 1
        return batch

    def _defined(self, wanted: Instrument) -> bool:
        try:
            _, tick, lot, low, high, _ = self.state.core.instrument(wanted.number)
        except KeyError:
            return False
        return (tick, lot, low, high) == (1, 1, 1, wanted.top)


def _definition(wanted: Instrument, state: int) -> bytes:
    fields = (0, 0, wanted.number, CommandKind.DEFINE, state, 1, 1, 1, wanted.top)
    return INSTRUMENT.pack(*fields).ljust(RECORD_SIZE, b"\0")


def _state(wanted: Instrument, state: int) -> bytes:
    fields = (0, 0, wanted.number, CommandKind.SET_STATE, state, 0, 0, 0, 0)
    return INSTRUMENT.pack(*fields).ljust(RECORD_SIZE, b"\0")
