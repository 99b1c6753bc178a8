"""What the routes work with, made by the composition root and handed on by FastAPI's dependencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from cift.ports.access import Admission, Keys
from cift.ports.history import History
from cift.ports.venue import Venue
from cift.settings import Settings
from cift.use_cases.forecasts import Forecasts

if TYPE_CHECKING:
    from cift.api.feed import Feed


@dataclass(slots=True)
class Context:
    """One worker's ports."""

    settings: Settings
    venue: Venue
    history: History
    keys: Keys
    admission: Admission
    feed: Feed
    forecasts: Forecasts


async def context(connection: HTTPConnection) -> Context:
    # A coroutine though it waits for nothing: FastAPI would run a plain function in a thread.
    found: Context = connection.app.state.context
    return found


Ports = Annotated[Context, Depends(context)]
