"""``uvicorn cift.api.main:app``: the composition root, where the ports get their adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cift import logs
from cift.adapters import model
from cift.adapters.admission import SharedAdmission
from cift.adapters.client import MatcherClient
from cift.adapters.guard import Guard
from cift.adapters.history import SqlHistory
from cift.adapters.keys import KeyFile
from cift.api.application import create
from cift.api.context import Context
from cift.api.feed import Feed
from cift.api.metrics import Metrics
from cift.settings import Settings
from cift.use_cases.forecasts import Forecasts

settings = Settings.of_environment()
logs.configure(settings.log_level)
# Before the workers are forked, so that they share what torch takes.
loaded, off = model.load(settings.forecast == "auto")


@asynccontextmanager
async def ports() -> AsyncIterator[Context]:
    """A worker's adapters, from its start until it has drained."""
    kept = settings.journal != "off"
    venue = MatcherClient(settings.runtime)
    projector = Guard(settings.runtime, "projector", "cift.adapters.projector") if kept else None
    admission = SharedAdmission(settings.runtime / "admission", settings.rate, settings.burst)
    feed = Feed(venue)
    forecasts = Forecasts(venue, loaded.settled() if loaded else None, off)
    await venue.start(projector)
    forecasts.start()
    try:
        yield Context(
            settings, venue, SqlHistory(settings.database, kept), KeyFile(settings), admission, feed, forecasts
        )
    finally:
        await forecasts.stop()
        await feed.stop()
        await venue.stop()
        admission.close()


app = create(settings, ports, Metrics(settings.runtime / "metrics"))
