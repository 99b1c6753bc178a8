"""``make bench-core``: the Rust core beside matchers in Python, on one order stream, in one run.

Rows of the core are what a Python program pays: the call, the buffer in, the events out. "records" begins with packed commands and ends with
packed events; "values" also packs every command from Python integers and unpacks every event to a tuple. The engines take turns, round by
round, so that a noisy machine is noisy for all of them. Orders per second are of processor time, which a busy machine disturbs least;
latencies are of wall time, and of a batch given per order: its time divided by its size.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import struct
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests")]

import cift_core as core  # noqa: E402
import peers  # noqa: E402
from lean import Lean  # noqa: E402
from reference import Command, Terms, Venue  # noqa: E402
from reference.codes import CommandKind, InstrumentState, OrderType, SelfTrade, TimeInForce  # noqa: E402
from stream import Message, stream  # noqa: E402

#: Wall times of the calls, how many orders were in each, and the processor time of all; nanoseconds.
Times = tuple[list[int], int, int]


def commands(messages: list[Message]) -> list[Command]:
    kinds = {"N": CommandKind.NEW, "C": CommandKind.CANCEL, "R": CommandKind.REPLACE}
    codes = (OrderType.LIMIT, TimeInForce.GTC, SelfTrade.ALLOW, 0)
    # Plain numbers: what a record holds, and faster for the reference than members of an enumeration.
    return [
        Command(at, at, 1, int(kinds[m.kind]), m.side, *map(int, codes), m.account, m.order, m.quantity, 0, m.price)
        for at, m in enumerate(messages, 2)
    ]


DEFINE = Command(1, 1, 1, int(CommandKind.DEFINE), terms=Terms(int(InstrumentState.OPEN), 1, 1, 1, core.MAX_PRICE))


def of_records(given: list[Command], size: int) -> Times:
    venue, clock = core.Core(), time.perf_counter_ns
    venue.apply(DEFINE.pack())
    buffers = [b"".join(c.pack() for c in given[at : at + size]) for at in range(0, len(given), size)]
    times, used = [], time.process_time_ns()
    for buffer in buffers:
        began = clock()
        venue.apply(buffer)
        times.append(clock() - began)
    return times, size, time.process_time_ns() - used


def of_values(given: list[Command], size: int) -> Times:
    venue, clock = core.Core(), time.perf_counter_ns
    venue.apply(DEFINE.pack())
    pack = struct.Struct(core.COMMAND_FORMAT).pack
    unpack = struct.Struct(core.EVENT_FORMAT).iter_unpack
    rows = [c[:16] for c in given]
    times, used = [], time.process_time_ns()
    for at in range(0, len(rows), size):
        began = clock()
        list(unpack(venue.apply(b"".join([pack(*row) for row in rows[at : at + size]]))))
        times.append(clock() - began)
    return times, size, time.process_time_ns() - used


def of_reference(given: list[Command], size: int) -> Times:
    venue, clock = Venue(), time.perf_counter_ns
    venue.apply(DEFINE)
    apply, times, used = venue.apply, [], time.process_time_ns()
    for command in given:
        began = clock()
        apply(command)
        times.append(clock() - began)
    return times, 1, time.process_time_ns() - used


def of_lean(messages: list[Message], size: int) -> Times:
    book, clock, times, used = Lean(), time.perf_counter_ns, [], time.process_time_ns()
    for kind, order, _, side, price, quantity in messages:
        began = clock()
        if kind == "N":
            book.new(order, side, price, quantity)
        elif kind == "C":
            book.cancel(order)
        else:
            book.lessen(order, quantity)
        times.append(clock() - began)
    return times, 1, time.process_time_ns() - used


def measured(times: Times, orders: int) -> dict[str, float]:
    """Orders per second, and nanoseconds per order of the median call and of the slow ones."""
    calls, size = sorted(times[0]), times[1]
    at = {f"p{q}": calls[min(len(calls) - 1, int(len(calls) * q / 100))] / size for q in (50, 99, 99.9)}
    return {"rate": orders / times[2] * 1e9, **at}


def same(given: list[Command]) -> int:
    """How many trades the stream has, after both have given the same events for its beginning."""
    venue, reference = core.Core(), Venue()
    for command in [DEFINE, *given[:20_000]]:
        if venue.apply(command.pack()) != b"".join(event.pack() for event in reference.apply(command)):
            sys.exit(f"bench: the core and the reference differ at {command}")
    whole = core.Core()
    whole.apply(b"".join(c.pack() for c in [DEFINE, *given]))
    return int(whole.last_trade_id)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-core", description=__doc__)
    parser.add_argument("--orders", type=int, default=200_000, help="messages of the stream (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="the median round counts (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args()
    messages = stream(options.orders)
    given = commands(messages)
    trades = same(given)
    rows: dict[str, Callable[[], Times]] = {}
    for size in (1, 64, 1024):
        rows[f"core, records, batches of {size}"] = lambda size=size: of_records(given, size)
    for size in (1, 64, 1024):
        rows[f"core, values, batches of {size}"] = lambda size=size: of_values(given, size)
    rows["reference (pure Python, all rules)"] = lambda: of_reference(given, 1)
    rows["lean (pure Python, a tenth of the rules)"] = lambda: of_lean(messages, 1)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
    for number in range(options.rounds):
        for name, run in rows.items():
            gc.collect()
            gc.disable()
            results[name].append(measured(run(), len(given)))
            gc.enable()
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    figures = _figures(results)
    beside = _beside(messages, options.rounds)
    if options.json:
        print(json.dumps({"all": figures, "subset": beside}, indent=1))
        return 0
    _table(figures, options, trades)
    _peers(beside)
    return 0


def _figures(results: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        name: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        | {"lowest": min(r["rate"] for r in rounds), "highest": max(r["rate"] for r in rounds)}
        for name, rounds in results.items()
    }


def _beside(messages: list[Message], rounds: int) -> dict[str, dict[str, float]]:
    """The core beside matchers of the package index, which know limit orders and cancels; all must trade the same lots."""
    given = peers.subset(messages)
    rows: dict[str, Callable[[], peers.Row]] = {
        "core, values, batches of 1": lambda: peers.of_core(given, DEFINE.pack()),
        "lean (pure Python)": lambda: peers.of_lean(given),
    }
    for module, (kind, run) in peers.OTHERS.items():
        if find_spec(module) is None:
            print(f"peers: {module} has no wheel for this Python", file=sys.stderr)
            continue
        rows[f"{module} ({kind})"] = lambda run=run: run(given)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
    for number in range(rounds):
        lots = {}
        for name, run in rows.items():
            gc.collect()
            gc.disable()
            times, used, lots[name] = run()
            gc.enable()
            results[name].append(measured((times, 1, used), len(given)))
        if len(set(lots.values())) != 1:
            sys.exit(f"bench: the matchers did not trade the same quantity: {lots}")
        print(f"peers, round {number + 1} of {rounds}", file=sys.stderr)
    return _figures(results)


def _peers(figures: dict[str, dict[str, float]]) -> None:
    print("\nNew limit orders and cancels of the same stream, an order a call; all traded the same quantity\n")
    print("| | orders/s | (lowest to highest round) | p50 ns | p99 ns | p99.9 ns | core is x times |")
    print("|---|---|---|---|---|---|---|")
    first = next(iter(figures.values()))["rate"]
    for name, f in figures.items():
        print(
            f"| {name} | {f['rate']:,.0f} | {f['lowest']:,.0f} to {f['highest']:,.0f} | {f['p50']:,.0f} | {f['p99']:,.0f} "
            f"| {f['p99.9']:,.0f} | {first / f['rate']:.1f} |"
        )


def _table(figures: dict[str, dict[str, float]], options: argparse.Namespace, trades: int) -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{options.orders:,} messages, {trades:,} trades; median of {options.rounds} rounds; {machine}")
    print(f"load of the machine while it ran: {os.getloadavg()[0]:.1f}\n")
    print("| | orders/s | (lowest to highest round) | p50 ns | p99 ns | p99.9 ns | x reference | x lean |")
    print("|---|---|---|---|---|---|---|---|")
    *_, reference, lean = (f["rate"] for f in figures.values())
    for name, f in figures.items():
        print(
            f"| {name} | {f['rate']:,.0f} | {f['lowest']:,.0f} to {f['highest']:,.0f} | {f['p50']:,.0f} | {f['p99']:,.0f} "
            f"| {f['p99.9']:,.0f} | {f['rate'] / reference:.1f} | {f['rate'] / lean:.1f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
