"""The records as the service writes them are the core's: layouts, codes and limits."""

from __future__ import annotations

import struct
from enum import IntEnum

import cift_core as core
import pytest

from cift.domain import records
from cift.domain.instruments import INSTRUMENTS


@pytest.mark.parametrize(
    "name", ["CommandKind", "EventKind", "Side", "OrderType", "TimeInForce", "SelfTrade", "Reason"]
)
def test_codes_are_those_of_the_core(name: str) -> None:
    ours: type[IntEnum] = getattr(records, name)
    theirs: type[IntEnum] = getattr(core, name)
    own = {"MAX_NOTIONAL", "MAX_POSITION", "COLLAR", "CLIENT_ID_TAKEN", "JOURNAL"} if name == "Reason" else set()
    assert {m.name: m.value for m in ours if m.name not in own} == {m.name: m.value for m in theirs}
    assert all(ours[n] not in set(theirs) for n in own)


def test_states_and_flags_are_those_of_the_core() -> None:
    states = core.InstrumentState
    assert (records.OPEN, records.HALTED, records.CLOSED) == (states.OPEN, states.HALTED, states.CLOSED)
    assert core.Flag.POST_ONLY == records.POST_ONLY


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (records.COMMAND, core.COMMAND_FORMAT),
        (records.INSTRUMENT, core.INSTRUMENT_FORMAT),
        (records.EVENT, core.EVENT_FORMAT),
    ],
)
def test_layouts_are_those_of_the_core(ours: struct.Struct, theirs: str) -> None:
    assert ours.size == struct.calcsize(theirs)
    for at in range(ours.size):  # every byte means the same to both
        data = bytes(0x55 if n == at else 0 for n in range(ours.size))
        assert ours.unpack(data) == struct.unpack(theirs, data), at


def test_no_instrument_allows_more_than_the_core_does() -> None:
    for traded in INSTRUMENTS.values():
        assert (
            traded.top <= core.MAX_PRICE and traded.most <= core.MAX_QUANTITY and traded.number <= core.MAX_INSTRUMENT
        )
