"""``uvicorn cift.api.main:app``: the composition root, where the ports get their adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cift import logs
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

settings = Settings.of_environment()
logs.configure(settings.log_level)


@asynccontextmanager
async def ports() -> AsyncIterator[Context]:
    """A worker's adapters, from its start until it has drained."""
    kept = settings.journal != "off"
    venue = MatcherClient(settings.runtime)
    projector = Guard(settings.runtime, "projector", "cift.adapters.projector") if kept else None
    admission = SharedAdmission(settings.runtime / "admission", settings.rate, settings.burst)
    feed = Feed(venue)
    await venue.start(projector)
    try:
        yield Context(settings, venue, SqlHistory(settings.database, kept), KeyFile(settings), admission, feed)
    finally:
        await feed.stop()
        await venue.stop()
        admission.close()


app = create(settings, ports, Metrics(settings.runtime / "metrics"))
