"""What must hold of any book, told from events and records alone: the reference has no part in it."""

from __future__ import annotations

import struct
from collections import Counter
from random import Random

import pytest
from reference import Event
from reference.codes import EventKind, Reason, Side
from reference.traffic import Traffic

core = pytest.importorskip("cift_core", reason="the Rust core is not installed: run make build, then make test")


def _levels(venue: core.Core, number: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Displayed quantity and orders by side and price."""
    return {
        (side, price): (quantity, orders)
        for side, rows in zip((Side.BUY, Side.SELL), venue.depth(number, 10_000), strict=True)
        for price, quantity, orders in rows
    }


@pytest.mark.parametrize("seed", range(4))
def test_no_book_is_crossed_and_its_levels_are_the_sums_of_its_orders(seed: int) -> None:
    traffic, venue = Traffic(Random(seed)), core.Core()
    commands = traffic.opening() + traffic.batch(3000)
    for at in range(0, len(commands), 10):
        venue.apply(b"".join(command.pack() for command in commands[at : at + 10]))
        for number in venue.instruments():
            bids, asks = venue.depth(number, 10_000)
            assert not bids or not asks or bids[0][0] < asks[0][0]
            sums: Counter[tuple[int, int]] = Counter()
            for order in struct.iter_unpack(core.ORDER_FORMAT, venue.orders(number)):
                _, _, quantity, remaining, visible, _, price, _, _, side, *_, waiting = order
                assert 0 < remaining <= quantity and visible <= remaining
                if not waiting:
                    assert visible > 0
                    sums[side, price] += visible
            assert sums == {key: shown for key, (shown, _) in _levels(venue, number).items()}


@pytest.mark.parametrize("seed", range(4))
def test_the_levels_in_the_events_rebuild_the_book(seed: int) -> None:
    traffic, venue = Traffic(Random(seed)), core.Core()
    books: dict[int, dict[tuple[int, int], tuple[int, int]]] = {}
    for command in traffic.opening() + traffic.batch(5000):
        for event in Event.unpack_all(venue.apply(command.pack())):
            if event.level_side:
                levels = books.setdefault(event.instrument, {})
                if event.level_orders:
                    levels[event.level_side, event.level_price] = event.level_quantity, event.level_orders
                else:
                    del levels[event.level_side, event.level_price]
    assert any(books.values())
    for number in venue.instruments():
        assert books.get(number, {}) == _levels(venue, number)


@pytest.mark.parametrize("seed", range(4))
def test_quantity_is_conserved(seed: int) -> None:
    """Of every order: total = traded + taken away + what remains, told from its events."""
    traffic, venue = Traffic(Random(seed)), core.Core()
    left: Counter[int] = Counter()
    trades = 0
    for command in traffic.opening() + traffic.batch(5000):
        for event in Event.unpack_all(venue.apply(command.pack())):
            match event.kind:
                case EventKind.ACCEPTED:
                    left[event.order_id] = event.quantity
                case EventKind.REPLACED:
                    left[event.order_id] = event.remaining
                case EventKind.TRADE:
                    trades += 1
                    assert event.trade_id == trades
                    left[event.order_id] -= event.quantity
                    left[event.maker_order_id] -= event.quantity
                    assert left[event.maker_order_id] == event.maker_remaining
                    assert left[event.order_id] == event.remaining
                case EventKind.CANCELED | EventKind.EXPIRED:
                    assert left[event.order_id] == event.quantity
                    left[event.order_id] = 0
                case EventKind.RESTATED if event.reason == Reason.SELF_TRADE:
                    left[event.order_id] -= event.quantity
                    assert left[event.order_id] == event.remaining
    records = b"".join(venue.orders(number) for number in venue.instruments())
    lives = {order[0]: order[3] for order in struct.iter_unpack(core.ORDER_FORMAT, records)}
    assert lives == {order: rest for order, rest in left.items() if rest}
    assert len(venue) == len(lives)


@pytest.mark.parametrize("seed", range(3))
def test_a_restored_core_goes_on_as_the_one_that_was_saved(seed: int) -> None:
    traffic, venue = Traffic(Random(seed)), core.Core()
    venue.apply(b"".join(command.pack() for command in traffic.opening() + traffic.batch(2000)))
    again = core.Core.restore(venue.snapshot())
    assert again.snapshot() == venue.snapshot()
    rest = b"".join(command.pack() for command in traffic.batch(2000))
    assert again.apply(rest) == venue.apply(rest)
    assert again.state_hash() == venue.state_hash()


def test_a_damaged_snapshot_is_refused() -> None:
    traffic, venue = Traffic(Random(1)), core.Core()
    venue.apply(b"".join(command.pack() for command in traffic.opening() + traffic.batch(300)))
    whole = venue.snapshot()
    random = Random(2)
    for _ in range(500):
        at = random.randrange(len(whole))
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1 << random.randrange(8)]) + whole[at + 1 :]):
            with pytest.raises(ValueError, match="snapshot"):
                core.Core.restore(damaged)


def test_a_snapshot_forged_with_a_fitting_hash_is_refused_or_is_a_state_like_any_other() -> None:
    import hashlib

    traffic, venue = Traffic(Random(3)), core.Core()
    venue.apply(b"".join(command.pack() for command in traffic.opening() + traffic.batch(300)))
    body = venue.snapshot()[:-32]
    more = b"".join(command.pack() for command in traffic.batch(50))
    random, refused = Random(4), 0
    for _ in range(2000):
        forged = bytearray(body)
        forged[random.randrange(len(body))] = random.randrange(256)
        try:
            other = core.Core.restore(bytes(forged) + hashlib.sha256(forged).digest())
        except ValueError:
            refused += 1
            continue
        try:
            other.apply(more)
        except ValueError as error:
            assert "sequence" in str(error)
        assert core.Core.restore(other.snapshot()).state_hash() == other.state_hash()
    assert refused > 500


@pytest.mark.parametrize("length", [1, 87, 89, 88 * 3 + 1])
def test_a_buffer_of_another_length_is_refused_whole(length: int) -> None:
    venue = core.Core()
    before = venue.state_hash()
    with pytest.raises(ValueError, match="multiple of 88"):
        venue.apply(bytes(length))
    assert venue.state_hash() == before


def test_bytes_of_any_kind_never_break_the_core() -> None:
    random, venue = Random(5), core.Core()
    for sequence in range(1, 20_000):
        record = bytearray(random.randbytes(core.COMMAND_SIZE))
        struct.pack_into("<QQI", record, 0, sequence, sequence, random.randrange(4))
        record[20] = random.randrange(9)
        if random.random() < 0.9:
            record[21:26] = bytes(random.randrange(6) for _ in range(5))
        events = venue.apply(record)
        assert events or record[20] == core.CommandKind.CLOCK
    assert core.Core.restore(venue.snapshot()).state_hash() == venue.state_hash()


def test_a_sequence_that_does_not_grow_is_refused_and_nothing_is_applied() -> None:
    traffic, venue = Traffic(Random(6)), core.Core()
    commands = traffic.opening() + traffic.batch(5)
    before = venue.state_hash()
    with pytest.raises(ValueError, match="sequence"):
        venue.apply(b"".join(command.pack() for command in (*commands, commands[0])))
    assert venue.state_hash() == before
