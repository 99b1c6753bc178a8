"""``make bench-service``: acknowledged orders a second, with a durable journal, with none, and beside a bare FastAPI route.

Four workers each, one after another and round by round on the same machine, loaded by wrk (Debian's, out of a locked package),
which is no bottleneck: figures are the median round. Then 200 WebSocket clients, of which two do not read, while wrk's orders
go on: how soon these two are dropped, what they are told, and what memory the venue's processes have meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1])]

from tests.cift.conftest import Service, free_port, processes, start  # noqa: E402
from tests.parts.toolbox import LOCK, program  # noqa: E402

WORKERS = 4
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def load(address: str, seconds: int, connections: int) -> dict[str, float]:
    """What wrk met: orders a second, and milliseconds.

    Raises:
        SystemExit: an order was refused, or a connection broke: such a round says nothing.
    """
    words = [*program("wrk", LOCK.with_name("load.lock")), "-t", "2", "-c", str(connections), "-d", f"{seconds}s"]
    words += ["--latency", "-s", str(HERE / "orders.lua"), address]
    text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"not every order was acknowledged:\n{text}")
    found = {"orders_per_second": float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0])}
    for share in ("50", "99"):
        ((value, unit),) = re.findall(rf"\s{share}%\s+([\d.]+)(us|ms|s)\s", text)
        found[f"p{share}_ms"] = float(value) * _UNITS[unit]
    return found


def bare(folder: Path, seconds: int, connections: int) -> dict[str, float]:
    port = free_port()
    words = ["-m", "uvicorn", "bare:app", "--port", str(port), "--workers", str(WORKERS), "--log-level", "warning"]
    environ = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}"}
    with (folder / "bare.log").open("wb") as log:
        running = subprocess.Popen([sys.executable, *words], env=environ, stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/ready")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        time.sleep(1)  # the other workers
        return load(f"http://127.0.0.1:{port}", seconds, connections)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(20)


def venue(folder: Path, seconds: int, connections: int, journal: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as data:
        service = start(Path(data) / "data", WORKERS, CIFT_JOURNAL=journal)
        try:
            time.sleep(1)
            return load(service.address, seconds, connections)
        finally:
            service.stop()
            service.ended()


def _resident(pids: list[int]) -> float:
    """Mebibytes of processes that no other process shares."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(kib) for kib in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M))
    return round(total / 1024, 1)


def _memory(service: Service) -> tuple[float, float]:
    """Of the workers, and of the matcher, which remembers the last 100,000 orders."""
    return _resident(service.workers()), _resident(processes(service.data, "cift.adapters.matcher"))


def streams(folder: Path, seconds: int, connections: int, listeners: int, slow: int) -> dict[str, Any]:
    """Listeners while wrk loads the venue, and the venue's memory before, meanwhile and after."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        service = start(Path(data) / "data", WORKERS)
        memory: list[tuple[float, float]] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(1):
                memory.append(_memory(service))

        watching = threading.Thread(target=watch)
        words = [sys.executable, "-m", "cift", "bench", "--url", service.address, "--clients", "0", "--json"]
        words += ["--seconds", str(seconds + 2)]
        # Those that do not read get a process of their own: a busy one could not read in time why they were dropped.
        kinds = (("--websockets", str(listeners - slow)), ("--websockets", str(slow), "--slow", str(slow)))
        try:
            load(service.address, 3, connections)  # what each process holds once it has worked at all
            alone = _memory(service)
            listening = [
                subprocess.Popen([*words, *kind], cwd=HERE.parents[1], env=service.environ, stdout=subprocess.PIPE)
                for kind in kinds
            ]
            while _streams(service) < listeners:
                time.sleep(0.1)
            connected = _memory(service)
            watching.start()
            met = load(service.address, seconds, connections)
            quick, dull = (json.loads(one.communicate(timeout=seconds + 60)[0]) for one in listening)
            time.sleep(1)
            left = _memory(service)
        finally:
            over.set()
            service.stop()
            service.ended()
    return {
        "orders": met,
        "messages_per_second": round(quick["messages_received"] / seconds),
        "slow_clients": slow,
        "dropped_after_s": dull["slow_dropped_after_s"],
        "they_were_told": dull["websockets_closed"],
        "others_dropped": quick["websockets_closed"],
        "mib_of_workers_and_matcher": {
            "no listener": alone,
            "all connected": connected,
            **{
                f"after {round(share * seconds)} s": memory[int(share * (len(memory) - 1))]
                for share in (0.25, 0.5, 0.75)
            },
            "highest": [max(column) for column in zip(*memory, strict=True)],
            "listeners gone": left,
        },
    }


def _streams(service: Service) -> float:
    return sum(map(float, re.findall(r"^cift_streams ([\d.]+)$", service.http.get("/metrics").text, re.M)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="of one round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="0: only the WebSocket clients (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="REST clients (default: %(default)s)")
    parser.add_argument("--websockets", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--slow", type=int, default=2, help="of them do not read (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path("/var/tmp"), help="where the journal lies (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    kinds = ("bare FastAPI route", "journal off", "journal durable")
    met: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for number in range(options.rounds):
            for kind in kinds:
                print(f"round {number + 1}: {kind}", file=sys.stderr, flush=True)
                size = (Path(folder), options.seconds, options.connections)
                met[kind].append(bare(*size) if kind == kinds[0] else venue(*size, kind.removeprefix("journal ")))
        print(f"{options.websockets} WebSocket clients", file=sys.stderr, flush=True)
        size = (options.seconds * 3, options.connections, options.websockets, options.slow)
        listened = streams(Path(folder), *size)
    rows = (
        {}
        if not options.rounds
        else {
            kind: {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
            for kind, rounds in met.items()
        }
    )
    if options.json:
        machine = {"processors": os.cpu_count(), "python": platform.python_version(), "load_average": os.getloadavg()}
        print(json.dumps({"machine": machine, "rest": rows, "rounds": met, "websockets": listened}, indent=1))
        return 0
    print(
        f"{os.cpu_count()} processors, Python {platform.python_version()}, {options.connections} connections, median of {options.rounds}"
    )
    print(f"{'':20}{'orders/s':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for kind, row in rows.items():
        print(f"{kind:20}{row['orders_per_second']:10.0f}{row['p50_ms']:9.1f}{row['p99_ms']:9.1f}")
    print(f"{options.websockets} WebSocket clients, {options.slow} of them do not read")
    for name, value in listened.items():
        print(f"  {name.replace('_', ' '):20} {value if isinstance(value, int) else json.dumps(value)}")
    return 0 if len(listened["dropped_after_s"]) == options.slow else 1


if __name__ == "__main__":
    sys.exit(main())
