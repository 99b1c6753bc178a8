"""The projector: one process that fills the read model from the journal and then from the matcher's live batches.

It resumes at the sequence that the tables hold, in the transaction that brought it there, so every event is in them once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cift import logs, loop
from cift.adapters import journal, state
from cift.adapters.client import MatcherClient
from cift.adapters.database import (
    CANDLE_COLUMNS,
    MINUTE,
    ORDER_COLUMNS,
    POSITION_COLUMNS,
    TRADE_COLUMNS,
    Database,
    ReadModelError,
    overwrite,
)
from cift.domain.ledger import Ledger, Order
from cift.domain.records import COMMAND, RECORD_SIZE, Event, EventKind, events
from cift.errors import CiftError, Corrupt, Unavailable
from cift.settings import Settings

LINGER = 3.0
"""Seconds without a matcher after which the projector ends; workers start it again with the next."""
CHUNK = 2_000
"""Commands of one transaction while it catches up."""

log = logging.getLogger("cift.projector")


@dataclass(slots=True)
class Changes:
    """What a run of batches changed: rows to write in one transaction."""

    orders: set[int] = field(default_factory=set)
    positions: set[tuple[int, int]] = field(default_factory=set)
    trades: list[tuple[int, ...]] = field(default_factory=list)
    candles: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def add(self, happened: list[Event]) -> None:
        for e in happened:
            if not e.order_id or e.kind == EventKind.REJECTED:
                continue
            self.orders.add(e.order_id)
            self.positions.add((e.account, e.instrument))
            if e.kind == EventKind.TRADE:
                self.orders.add(e.maker_order_id)
                self.positions.add((e.maker_account, e.instrument))
                self._trade(e)

    def _trade(self, e: Event) -> None:
        places = (e.order_id, e.account, e.maker_order_id, e.maker_account)
        self.trades.append((e.trade_id, e.sequence, e.time, e.instrument, e.side, e.price, e.quantity, *places))
        key = (e.instrument, e.time // 10**9 // MINUTE * MINUTE)
        candle = self.candles.get(key)
        if candle is None:
            self.candles[key] = [e.price, e.price, e.price, e.price, e.quantity, 1]
        else:
            candle[1], candle[2], candle[3] = max(candle[1], e.price), min(candle[2], e.price), e.price
            candle[4] += e.quantity
            candle[5] += 1


_MERGE = (
    "(instrument, start) DO UPDATE SET close = excluded.close, volume = candles.volume + excluded.volume, "
    "trades = candles.trades + excluded.trades, "
    "high = CASE WHEN excluded.high > candles.high THEN excluded.high ELSE candles.high END, "
    "low = CASE WHEN excluded.low < candles.low THEN excluded.low ELSE candles.low END"
)


def write(database: Database, ledger: Ledger, changes: Changes, sequence: int, journal_id: str) -> None:
    """One transaction: the rows that changed, and how far the tables are now."""
    with database.transaction() as cursor:
        orders = (order for order_id in sorted(changes.orders) if (order := ledger.order(order_id)) is not None)
        database.insert(cursor, "orders", ORDER_COLUMNS, map(_row, orders), overwrite("id", ORDER_COLUMNS))
        database.insert(cursor, "trades", TRADE_COLUMNS, changes.trades, "(id) DO NOTHING")
        candles = [(*key, *values) for key, values in sorted(changes.candles.items())]
        database.insert(cursor, "candles", CANDLE_COLUMNS, candles, _MERGE)
        held = [
            (*key, p.net, p.cash, p.open_buy, p.open_sell)
            for key in sorted(changes.positions)
            if (p := ledger.positions.get(key))
        ]
        database.insert(cursor, "positions", POSITION_COLUMNS, held, overwrite("account, instrument", POSITION_COLUMNS))
        progress = [(1, sequence, journal_id)]
        database.insert(
            cursor, "progress", ("one", "sequence", "journal"), progress, overwrite("one", ("sequence", "journal"))
        )


def _row(order: Order) -> tuple[Any, ...]:
    return (*(getattr(order, name) for name in ORDER_COLUMNS[:-1]), order.client_id.decode("ascii"))


def journal_id(folder: Path) -> str:
    """What tells one journal from another: its first batch."""
    first = next(journal.read(folder, RECORD_SIZE), None)
    return "" if first is None else journal.encode(first)[: journal.HEADER].hex()


def prepare(database: Database, folder: Path) -> tuple[state.State, str]:
    """The venue's state where the tables are, replayed from the journal.

    Raises:
        ReadModelError: the tables were filled from another journal.
    """
    database.create()
    sequence, known = database.progress()
    name = journal_id(folder)
    if known not in ("", name):
        raise ReadModelError(
            "the read model was filled from another journal: give DATABASE_URL an empty database, or drop its tables"
        )
    replica, _ = state.load(folder, sequence)
    before = (b for b in journal.read(folder, RECORD_SIZE, replica.sequence) if b.first <= sequence)
    state.replay(replica, before)
    if replica.sequence != sequence:
        raise ReadModelError(
            f"the read model holds sequence {sequence}, which the journal has not as the end of a batch"
        )
    return replica, name


def catch_up(database: Database, replica: state.State, folder: Path, until: int, name: str) -> None:
    """Write what the journal holds up to a sequence."""
    changes, written = Changes(), replica.sequence
    for batch in journal.read(folder, RECORD_SIZE, replica.sequence):
        if batch.first > until:
            break
        _, happened = replica.apply(batch.payload)
        changes.add(happened)
        if replica.sequence - written >= CHUNK:
            write(database, replica.ledger, changes, replica.sequence, name)
            changes, written = Changes(), replica.sequence
    if replica.sequence > written:
        write(database, replica.ledger, changes, replica.sequence, name)


async def follow(settings: Settings, database: Database) -> None:
    """Catch up, then write every batch of the matcher until it dies.

    Raises:
        OSError: there is no matcher. Unavailable: there is no database. ReadModelError, Corrupt: see there.
    """
    client = MatcherClient(settings.runtime)
    async with client.live() as live:
        replica, name = await asyncio.to_thread(prepare, database, settings.data)
        await asyncio.to_thread(catch_up, database, replica, settings.data, live.sequence, name)
        log.info("the read model has caught up with sequence %d", replica.sequence)
        ledger, sequence = replica.ledger, replica.sequence
        del replica
        while bodies := await live.batches():
            changes = Changes()
            for payload, raw in bodies:
                first = COMMAND.unpack_from(payload)[0]
                if first <= sequence:
                    continue
                if first != sequence + 1:
                    raise Unavailable(f"a batch begins with {first} after {sequence}")
                happened = events(raw)
                ledger.apply(payload, happened)
                changes.add(happened)
                sequence = first + len(payload) // RECORD_SIZE - 1
            await asyncio.to_thread(write, database, ledger, changes, sequence, name)


async def run(settings: Settings) -> None:
    """Follow until no matcher has been there for a while."""
    database, seen, said = Database(settings.database), time.monotonic(), ""
    trouble, door = settings.runtime / "projector.error", settings.runtime / "matcher.sock"
    while time.monotonic() - seen < LINGER:
        try:
            trouble.unlink(missing_ok=True)
            await follow(settings, database)
            if not door.exists():
                return  # the matcher has ended as it should, and with it the venue
            seen, said = time.monotonic(), ""
        except OSError:
            await asyncio.sleep(0.05)
        except (ReadModelError, Corrupt, Unavailable) as error:
            seen = time.monotonic()
            if str(error) != said:
                said = str(error)
                log.error("the read model is not filled: %s", error)
            trouble.write_text(said)
            if not door.exists():
                return
            await asyncio.sleep(1)


def main() -> int:
    settings = Settings.of_environment()
    logs.configure(settings.log_level)
    os.nice(5)  # orders come first; what is read may be a little behind
    try:
        loop.run(run(settings))
    except CiftError as error:
        log.error("the projector ends: %s", error)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
