"""The Rust core beside the reference: the same events, byte for byte, and the same state after every batch."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import Command, Event, Venue, codes
from reference.traffic import Traffic

core = pytest.importorskip("cift_core", reason="the Rust core is not installed: run make build, then make test")

#: Commands of the long run: make fuzz-core sets it.
COMMANDS = int(os.environ.get("FUZZ_COMMANDS", "40000"))


class Pair:
    """Both, given the same commands."""

    def __init__(self) -> None:
        self.core = core.Core()
        self.venue = Venue()

    def apply(self, commands: list[Command]) -> None:
        before = self.venue.state_hash()
        events = [event for command in commands for event in self.venue.apply(command)]
        got = self.core.apply(b"".join(command.pack() for command in commands))
        if got != b"".join(event.pack() for event in events):
            self._explain(commands, events, Event.unpack_all(got))
        assert self.core.state_hash() == self.venue.state_hash(), f"other state after {commands}, before {before.hex()}"

    def _explain(self, commands: list[Command], wanted: list[Event], got: list[Event]) -> None:
        for one, other in zip(wanted, got, strict=False):
            assert one == other, next(c for c in commands if c.sequence == one.sequence)
        assert len(wanted) == len(got)


def _run(traffic: Traffic, commands: int, batch: int) -> Pair:
    pair = Pair()
    pair.apply(traffic.opening())
    for _ in range(0, commands, batch):
        pair.apply(traffic.batch(batch))
    return pair


def test_the_codes_and_limits_of_the_binding_are_those_of_the_reference() -> None:
    names = [name for name in vars(codes) if name[0].isupper() and hasattr(core, name)]
    assert len(names) == 14
    for name in names:
        mine, theirs = getattr(codes, name), getattr(core, name)
        if isinstance(mine, int):
            assert mine == theirs, name
        else:
            assert {m.name: m.value for m in mine} == {m.name: m.value for m in theirs}, name


@settings(max_examples=max(10, COMMANDS // 4000), deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False), batch=st.integers(1, 20), strange=st.sampled_from((0.0, 0.01, 0.1)))
def test_any_commands_give_the_events_and_the_state_of_the_reference(
    random: Random, batch: int, strange: float
) -> None:
    _run(Traffic(random, strange), 40, batch)


@pytest.mark.parametrize("seed", range(8))
def test_a_long_day_gives_the_events_and_the_state_of_the_reference(seed: int) -> None:
    _run(Traffic(Random(seed), 0.01 if seed % 2 else 0.0), COMMANDS // 8, 50)
