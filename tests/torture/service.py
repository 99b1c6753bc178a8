"""``make torture-service``: kill -9 of the matcher, a worker or all of them at random moments under load, then count.

Every acknowledged order must be known under its client order id, once, with the id that it was acknowledged with; no id may
belong to two orders; and the resting quantity must be that of the orders known. --disk makes every fsync slow, or the disk
full for half a second of every two.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HERE))

from tests.cift.conftest import Service, processes, start  # noqa: E402

CLIENTS = 3


class Load:
    """Clients that place orders until told to stop, and remember what they were answered."""

    def __init__(self) -> None:
        self.address = ""
        self.sent: list[str] = []
        self.answered: dict[str, int] = {}
        self.refused = 0
        self.wrong: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(CLIENTS)]
        self._up = threading.Event()

    def begin(self) -> None:
        self._up.set()
        for thread in self._threads:
            thread.start()

    def pause(self) -> None:
        self._up.clear()

    def go_on(self, address: str) -> None:
        self.address = address
        self._up.set()

    def end(self) -> None:
        self._stop.set()
        self._up.set()
        for thread in self._threads:
            thread.join(30)

    def _client(self) -> None:
        while not self._stop.is_set():
            self._up.wait()
            with httpx.Client(base_url=self.address, timeout=15) as http:
                try:
                    while self._up.is_set() and not self._stop.is_set():
                        self._place(http)
                except httpx.HTTPError:
                    time.sleep(0.05)

    def _place(self, http: httpx.Client) -> None:
        name = uuid.uuid4().hex
        body = {"symbol": "CIFT-USD", "side": "buy", "price": "10.00", "quantity": "1", "client_order_id": name}
        self.sent.append(name)
        answer = http.post("/v1/orders", json=body)
        if answer.status_code in (200, 201):
            self.answered[name] = answer.json()["id"]
        elif answer.status_code == 503:
            self.refused += 1
            time.sleep(0.02)
        else:
            self.wrong.append(f"{answer.status_code} {answer.text[:200]}")


def kill(service: Service, whom: str) -> bool:
    """Kill somebody; True if the whole service has to be started again."""
    matcher = processes(service.data, "cift.adapters.matcher")
    if whom == "matcher":
        victims = matcher
    elif whom == "worker":
        deadline = time.monotonic() + 60
        while not (there := service.workers()):  # all were killed, and a busy machine has not replaced one yet
            if service.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"no worker was replaced:\n{service.log.read_text()[-4000:]}")
            time.sleep(0.05)
        victims = random.sample(there, 1)
    else:
        victims = [
            service.process.pid,
            *service.workers(),
            *matcher,
            *processes(service.data, "cift.adapters.projector"),
        ]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    if whom == "all":
        service.process.wait()
    return whom == "all"


def check(service: Service, load: Load) -> list[str]:
    """What is not as it must be."""
    known: dict[str, int] = {}
    for name in load.sent:
        found = service.http.get(f"/v1/orders/by-client-id/{name}")
        if found.status_code == 200:
            known[name] = found.json()["id"]
        elif found.status_code != 404:
            return [f"{name}: {found.status_code} {found.text[:200]}"]
    lost = [name for name, order in load.answered.items() if known.get(name) != order]
    level = service.get("/v1/book/CIFT-USD")["bids"][0]
    problems = [f"lost or changed: {name}" for name in lost] + load.wrong
    if len(set(known.values())) != len(known):
        problems.append("an order id belongs to two orders")
    if level["orders"] != len(known):
        problems.append(f"{level['orders']} orders rest, {len(known)} are known")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument(
        "--disk", choices=("good", "slow", "full"), default="good", help="slow: every fsync takes 20 to 200 ms more"
    )
    options = parser.parse_args()
    random.seed(options.seed)
    more = {"PYTHONPATH": f"{HERE / 'tests/torture/bad_disk'}:{HERE}", "TORTURE_DISK": options.disk}
    with tempfile.TemporaryDirectory() as folder:
        data, load = Path(folder) / "data", Load()
        service = start(data, options.workers, **more)
        load.address = service.address
        load.begin()
        counts = {"matcher": 0, "worker": 0, "all": 0}
        began = time.monotonic()
        for number in range(1, options.kills + 1):
            time.sleep(random.uniform(0.05, 0.6))
            whom = random.choices(("matcher", "worker", "all"), (6, 3, 1))[0]
            counts[whom] += 1
            if kill(service, whom):
                load.pause()
                service = start(data, options.workers, **more)
                load.go_on(service.address)
            if number % 25 == 0:
                print(
                    f"{number} kills, {len(load.answered)} orders acknowledged, {time.monotonic() - began:.0f} s",
                    flush=True,
                )
        time.sleep(1)
        load.end()
        problems = check(service, load)
        service.stop()
        if not service.ended() or processes(data, "cift.uvicorn"):
            problems.append("a process of a service that has ended lives on")
        print(
            f"seed {options.seed}, disk {options.disk}: {counts}; {len(load.sent)} sent, {load.refused} refused, {len(load.answered)} acknowledged, {len(problems)} problems"
        )
        for line in problems[:20]:
            print(f"  {line}", flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
