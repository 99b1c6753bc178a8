"""``make bench-service``: acknowledged orders a second, with a durable journal, with none, and beside a bare FastAPI route.

Four workers each, one after another and round by round on the same machine, loaded by wrk (Debian's, out of a locked package),
which is no bottleneck: figures are the median round. Then 200 WebSocket clients, of which two do not read, while orders go on.
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


def _resident(service: Service) -> float:
    """Mebibytes of the workers and the matcher that no other process shares."""
    total = 0
    for pid in [*service.workers(), *processes(service.data, "cift.adapters.matcher")]:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(kib) for kib in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M))
    return total / 1024


def streams(folder: Path, seconds: int, listeners: int, slow: int) -> dict[str, object]:
    """Listeners under load, and the memory of the venue meanwhile."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        service = start(Path(data) / "data", WORKERS)
        memory: list[float] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(1):
                memory.append(_resident(service))

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            words = [
                "-m",
                "cift",
                "bench",
                "--url",
                service.address,
                "--clients",
                "8",
                "--seconds",
                str(seconds),
                "--json",
            ]
            words += ["--websockets", str(listeners), "--slow", str(slow)]
            done = subprocess.run(
                [sys.executable, *words],
                cwd=HERE.parents[1],
                env=service.environ,
                capture_output=True,
                text=True,
                check=True,
            )
            dropped = re.findall(
                r'^cift_streams_dropped_total.*reason="slow".* ([\d.]+)$', service.http.get("/metrics").text, re.M
            )
        finally:
            over.set()
            watching.join()
            service.stop()
            service.ended()
    half = memory[len(memory) // 3 :]
    grown = {
        "memory_mib": {
            "after_a_third": round(half[0], 1),
            "highest": round(max(memory), 1),
            "last": round(memory[-1], 1),
        }
    }
    return {**json.loads(done.stdout), "dropped_for_slowness": sum(map(float, dropped)), **grown}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="of one round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
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
        listened = streams(Path(folder), options.seconds * 3, options.websockets, options.slow)
    rows = {
        kind: {name: statistics.median(r[name] for r in rounds) for name in rounds[0]} for kind, rounds in met.items()
    }
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
    print(f"{options.websockets} WebSocket clients, {options.slow} slow: {json.dumps(listened)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
