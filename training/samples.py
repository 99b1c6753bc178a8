"""Samples of tapes: features at a step, and what the horizon brought. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cift.domain.forecast import HORIZON, Flow
from cift.domain.instruments import Instrument
from cift.domain.market import BookView
from cift.domain.records import Event

EVERY = 5
"""Steps between samples: neighbours say nearly the same."""


@dataclass
class Samples:
    """Rows of features and of targets: move in basis points, order-flow imbalance in average best quantities."""

    features: list[tuple[float, ...]] = field(default_factory=list)
    targets: list[tuple[float, float]] = field(default_factory=list)

    def add(self, other: Samples) -> None:
        self.features += other.features
        self.targets += other.targets


def of(tape: Iterable[Sequence[Event]]) -> Samples:
    """The samples of one tape: whatever the features look back on lies before a step, what the targets tell, behind it."""
    flow = Flow(BookView(0, (), ()))
    found = Samples()
    waiting: list[tuple[tuple[float, ...], float, float, int]] = []
    mids: list[float] = []
    flows: list[float] = []
    for events in tape:
        before = flow.steps
        if not flow.take(events):
            if flow.missing > 1 and waiting:
                waiting.clear()  # the series ended: nobody knows what would have come
            continue
        assert flow.steps == before + 1
        mids.append(flow.last.mid)
        flows.append(flow.last.flow)
        now = len(mids)
        while waiting and waiting[0][3] + HORIZON == now:
            features, mid, depth, at = waiting.pop(0)
            move = (flow.last.mid - mid) / mid * 10_000
            found.features.append(features)
            found.targets.append((move, sum(flows[at:now]) / depth))
        if now % EVERY == 0 and (row := flow.features()) is not None:
            waiting.append((row, flow.last.mid, flow.depth(), now))
    return found


def market(instruments: Iterable[Instrument], seeds: Iterable[int], turns: int) -> Samples:
    """The samples of several markets."""
    from training.tape import steps

    chosen, found = list(instruments), Samples()
    for seed in seeds:
        for traded in chosen:
            found.add(of(steps(traded, seed, turns)))
    return found
