"""The venue as the use cases see it: something that takes commands durably and answers questions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cift.domain.ledger import Order
from cift.domain.records import Event


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command that reached the matcher.

    ``refused`` is the `Reason` of a refusal, else 0; ``order`` is the order as it stands now, if there is one;
    ``duplicate`` tells that the order came before, under the same client order id. ``lost`` says why it is not taken
    for the journal's sake; with ``unsure`` it may be in the journal all the same.
    """

    order: Order | None
    events: Sequence[Event] = ()
    refused: int = 0
    duplicate: bool = False
    lost: str = ""
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Happened:
    """A batch that the venue committed, with all events of it; ``sequence`` is the last command in it."""

    sequence: int
    events: Sequence[Event]


class Venue(Protocol):
    """The way to the matcher."""

    async def submit(self, records: Sequence[bytes]) -> list[Outcome]:
        """Have journal records committed, in order; retried over a restart of the matcher.

        Raises:
            Unavailable: none of them was taken, nor will be.
            OutcomeUnknown: the matcher has not come back, and what became of them can be asked later.
        """

    async def ask(self, question: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a question.

        Raises:
            Unavailable: the matcher is not there.
        """

    def trouble(self) -> str:
        """Why the matcher could not be started the last time, or nothing."""

    async def orders(self, question: str, **arguments: Any) -> list[Order]:
        """The orders that answer a question."""

    def follow(self) -> AsyncIterator[Happened]:
        """First an empty batch with the sequence so far, then every batch; ends when the matcher dies."""
