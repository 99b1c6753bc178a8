"""Reading what was just written: a question to the read model waits, not for long, until it holds what the venue has."""

from __future__ import annotations

import asyncio

from cift.ports.history import History
from cift.ports.venue import Venue

_PATIENCE = 0.5
_STEP = 0.01


async def caught_up(venue: Venue, history: History) -> bool:
    """Wait until the read model holds the commands that the venue has committed by now; False if it lags on."""
    wanted = (await venue.ask("ping"))["sequence"]
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while await history.sequence() < wanted:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_STEP)
    return True
