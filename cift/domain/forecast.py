"""Order flow as numbers: what a short-horizon forecast looks at, and what it is about. Pure; one instrument's events.

A step is one command that changed the book while both sides had a price. Order-flow imbalance is that of the best quotes
(Cont, Kukanov, Stoikov: "The Price Impact of Order Book Events", 2014, eq. 4), as a multiple of the average quantity at
the best quotes, so that one model serves all instruments; distances of prices are in basis points of the mid-price.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from cift.domain.market import BookView
from cift.domain.records import Event, EventKind, Side

WINDOW = 50
"""Steps that the features look back on."""
HORIZON = 10
"""Steps that the forecast looks ahead."""
FEATURES = (
    *("spread", "imbalance_1", "imbalance_5", "microprice", "flow_5", "flow_20", "flow_50"),
    *("trades_20", "trades_50", "move_5", "move_20", "move_50", "volatility_50"),
)
TARGETS = ("move", "flow")
"""Of the mid-price in basis points, and the sum of order-flow imbalance, over the horizon."""
_BPS = 10_000.0


class Step(NamedTuple):
    """The book after a step: mid-price in ticks, order-flow imbalance and signed traded quantity of the step in lots, and
    the average quantity at the two best quotes."""

    mid: float
    flow: float
    trades: float
    depth: float


class Forecast(NamedTuple):
    """``move`` of the mid-price in basis points; ``flow`` in average best quantities, positive for buying."""

    move: float
    flow: float


class Flow:
    """The last steps of one instrument; ``steps`` counts all that were taken."""

    def __init__(self, book: BookView) -> None:
        self.book = book
        self.steps = 0
        self._recent: deque[Step] = deque(maxlen=WINDOW + 1)
        self._best = self._quotes()

    @property
    def missing(self) -> int:
        """Steps that have to come before there are features."""
        return WINDOW + 1 - len(self._recent)

    @property
    def last(self) -> Step:
        return self._recent[-1]

    def take(self, events: Sequence[Event]) -> bool:
        """Take in the events of one command on this instrument; whether they made a step.

        A side without a price ends the series: what was before it says nothing of what comes after.
        """
        trades, changed = 0, False
        for event in events:
            if event.kind == EventKind.TRADE:
                trades += event.quantity if event.side == Side.BUY else -event.quantity
            if event.level_side:
                self.book.apply(event)
                changed = True
        if not changed:
            return False
        before, self._best = self._best, self._quotes()
        if before is None or self._best is None:
            self._recent.clear()
            return False
        bid, bids, ask, asks = self._best
        step = Step((bid + ask) / 2, imbalance(before, self._best), float(trades), (bids + asks) / 2)
        self._recent.append(step)
        self.steps += 1
        return True

    def _quotes(self) -> tuple[int, int, int, int] | None:
        """Best bid and its quantity, best ask and its quantity."""
        bids, asks = self.book.top(Side.BUY, 1), self.book.top(Side.SELL, 1)
        return (bids[0][0], bids[0][1], asks[0][0], asks[0][1]) if bids and asks else None

    def depth(self) -> float:
        """The average quantity at the best quotes over the window, in lots."""
        return max(1.0, sum(step.depth for step in self._recent) / len(self._recent))

    def features(self) -> tuple[float, ...] | None:
        """:data:`FEATURES`, or None while steps are missing."""
        if self.missing or self._best is None:
            return None
        bid, bids, ask, asks = self._best
        mid, depth = self.last.mid, self.depth()
        deep = [sum(level[1] for level in self.book.top(side, 5)) for side in (Side.BUY, Side.SELL)]
        micro = (bid * asks + ask * bids) / (bids + asks)
        steps = list(islice(self._recent, 1, None))
        moves = [_bps(one.mid, other.mid) for one, other in zip(self._recent, steps, strict=False)]
        return (
            _bps(bid, ask),
            (bids - asks) / (bids + asks),
            (deep[0] - deep[1]) / (deep[0] + deep[1]),
            _bps(mid, micro),
            *(sum(step.flow for step in steps[-count:]) / depth for count in (5, 20, 50)),
            *(sum(step.trades for step in steps[-count:]) / depth for count in (20, 50)),
            *(_bps(self._recent[-count - 1].mid, mid) for count in (5, 20, 50)),
            math.sqrt(sum(move * move for move in moves) / len(moves)),
        )


def imbalance(before: tuple[int, int, int, int], after: tuple[int, int, int, int]) -> float:
    """Order-flow imbalance of one step: what was added to the best bid and taken from the best ask, less the reverse."""
    bid0, bids0, ask0, asks0 = before
    bid1, bids1, ask1, asks1 = after
    return float(
        (bids1 if bid1 >= bid0 else 0)
        - (bids0 if bid1 <= bid0 else 0)
        - (asks1 if ask1 <= ask0 else 0)
        + (asks0 if ask1 >= ask0 else 0)
    )


def _bps(one: float, other: float) -> float:
    return (other - one) / one * _BPS
