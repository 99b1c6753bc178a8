"""A tape: what the service's matching core makes of a simulated market. The same seed gives the same events.

The market is that of ``cift simulate``; its orders go through the service's own sequencer, as if over its API, without a
clock and without a network.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator

from cift.adapters.sequencer import Pending, Sequencer
from cift.adapters.state import State
from cift.commands.simulate import START, Walk
from cift.domain.instruments import Instrument
from cift.domain.records import Command, CommandKind, Event, EventKind, events, record
from cift.use_cases.forecasts import by_command
from cift.use_cases.orders import Ticket, ticket_record

RESTING = 40
"""Orders of the maker that rest at once, as in ``cift simulate``."""
MAKER, TAKERS = 2, (3, 4, 5, 6)


class _Clockless(Sequencer):
    """Time is the number of the command: no forecast looks at it, and a tape must not depend on it."""

    def _now(self) -> int:
        return int(self.state.core.timestamp) + 1


class _Venue:
    def __init__(self) -> None:
        self._sequencer = _Clockless(State(), None, {})
        opening = self._sequencer.housekeeping()
        assert opening is not None
        self._sequencer.apply(opening)

    def send(self, raw: bytes) -> list[Event]:
        batch = self._sequencer.admit([Pending(raw, lambda answer: None)])
        return events(self._sequencer.apply(batch)[1]) if batch.payload else []


def commands(traded: Instrument, seed: int, turns: int) -> Iterator[list[Event]]:
    """The events of each command of a market in one symbol."""
    chance = random.Random(seed)
    walk = Walk(traded, START[traded.symbol] * 10**traded.price_places, chance)
    venue, resting = _Venue(), deque[int]()

    def place(account: int, order: dict[str, object]) -> list[Event]:
        # The simulator's own ids are random, and a venue that was never asked twice needs none.
        return venue.send(ticket_record(account, Ticket(**{**order, "client_order_id": None})))  # type: ignore[arg-type]

    for _ in range(turns):
        walk.step()
        for order in walk.quotes():
            happened = place(MAKER, order)
            resting += [event.order_id for event in happened if event.kind == EventKind.ACCEPTED][:1]
            yield happened
        while len(resting) > RESTING:
            cancel = Command(
                instrument=traded.number, kind=CommandKind.CANCEL, account=MAKER, order_id=resting.popleft()
            )
            yield venue.send(record(cancel))
        for order in walk.takers():
            yield place(chance.choice(TAKERS), order)


def steps(traded: Instrument, seed: int, turns: int) -> Iterator[list[Event]]:
    """The same, by instrument and command, as a forecast takes it in."""
    for happened in commands(traded, seed, turns):
        for number, command in by_command(happened):
            if number == traded.number:
                yield command
