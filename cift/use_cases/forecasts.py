"""Forecasts of the books that the venue trades: a worker follows the venue's events while forecasts are on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from cift.domain.forecast import WINDOW, Flow, Forecast
from cift.domain.instruments import BY_NUMBER
from cift.domain.market import BookView
from cift.domain.records import Event
from cift.errors import CiftError, Unavailable
from cift.ports.forecaster import Forecaster
from cift.ports.venue import Venue

log = logging.getLogger("cift.forecasts")


class ForecastsOff(CiftError):
    """This installation makes no forecasts; the message says what they need."""


@dataclass(frozen=True, slots=True)
class Made:
    """A forecast: as of ``sequence``, from a mid-price in ticks, by ``model`` on ``device``."""

    sequence: int
    mid: float
    forecast: Forecast
    model: str
    device: str


class Forecasts:
    """Flows of all instruments, kept up to date, and the forecaster that reads them; ``off`` is why there is none."""

    def __init__(self, venue: Venue, forecaster: Forecaster | None, off: str = "") -> None:
        self._venue, self._forecaster, self._off = venue, forecaster, off
        self._flows: dict[int, Flow] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follow the venue from now on; nothing is followed while forecasts are off."""
        if self._forecaster is not None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    @property
    def loaded(self) -> int:
        """Books that are followed."""
        return len(self._flows)

    def of(self, number: int) -> Made:
        """The forecast for an instrument.

        Raises:
            ForecastsOff: there is no model here.
            Unavailable: too little has happened in its book since it is followed.
        """
        if self._forecaster is None:
            raise ForecastsOff(self._off)
        flow = self._flows.get(number)
        features = flow.features() if flow is not None else None
        if flow is None or features is None:
            seen = 0 if flow is None else WINDOW + 1 - flow.missing
            raise Unavailable(
                f"a forecast needs {WINDOW + 1} changes of the book in a row, and {seen} were seen so far"
            )
        forecast = self._forecaster.forecast(features)
        return Made(flow.book.sequence, flow.last.mid, forecast, self._forecaster.name, self._forecaster.device)

    async def _run(self) -> None:
        while True:
            try:
                first = True
                async for batch in self._venue.follow():
                    if first:
                        await self._load()
                        first = False
                    self._take(batch.events)
            except (CiftError, OSError) as error:
                log.warning("forecasts have lost the matcher: %s", error)
            self._flows.clear()
            await asyncio.sleep(0.2)

    async def _load(self) -> None:
        """Books as they are now; what is published meanwhile waits in the follower's queue."""
        for number in BY_NUMBER:
            now = await self._venue.ask("depth", instrument=number, levels=1_000_000)
            self._flows[number] = Flow(BookView(now["sequence"], map(tuple, now["bids"]), map(tuple, now["asks"])))

    def _take(self, events: Sequence[Event]) -> None:
        for number, command in by_command(events):
            flow = self._flows.get(number)
            if flow is not None and command[0].sequence > flow.book.sequence:
                flow.take(command)
                flow.book.sequence = command[0].sequence


def by_command(events: Sequence[Event]) -> Iterator[tuple[int, list[Event]]]:
    """The instrument and the events of each command, in order."""
    for (_, number), group in groupby(events, key=lambda event: (event.sequence, event.instrument)):
        yield number, list(group)
