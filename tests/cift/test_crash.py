"""Processes that die: nothing that was acknowledged is lost, nothing is taken twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.cift.conftest import HERE, Service

Launch = Callable[..., Service]


def _command(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cift", *words],
        cwd=HERE,
        env=service.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_orders_survive_the_kill_of_the_matcher_under_load_exactly_once(launch: Launch) -> None:
    service = launch()
    sent: list[str] = []
    answered: dict[str, int] = {}
    stop = threading.Event()

    def client() -> None:
        with httpx.Client(base_url=service.address, timeout=20) as http:
            while not stop.is_set():
                name = uuid.uuid4().hex
                body = {"symbol": "CIFT-USD", "side": "buy", "price": "10.00", "quantity": "1", "client_order_id": name}
                sent.append(name)
                answer = http.post("/v1/orders", json=body)
                if answer.status_code in (200, 201):
                    answered[name] = answer.json()["id"]
                else:
                    assert answer.status_code == 503, answer.text

    threads = [threading.Thread(target=client) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.5)
        os.kill(service.matcher(), signal.SIGKILL)
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(answered) > 10
    known = {}
    for name in sent:
        found = service.http.get(f"/v1/orders/by-client-id/{name}")
        if found.status_code == 200:
            known[name] = found.json()["id"]
    assert answered.items() <= known.items()
    assert len(set(known.values())) == len(known)
    assert service.get("/v1/book/CIFT-USD")["bids"][0]["orders"] == len(known)


def test_a_killed_worker_is_replaced_and_the_book_stays(launch: Launch) -> None:
    service = launch()
    order = service.order().json()["id"]
    os.kill(service.workers()[0], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while len(service.workers()) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    service.http.close()
    service.http = httpx.Client(base_url=service.address, timeout=20)
    assert service.get(f"/v1/orders/{order}")["status"] == "open"


def test_a_new_service_on_the_same_folder_has_the_same_state_and_the_journal_replays_to_it(launch: Launch) -> None:
    first = launch()
    for n in range(20):
        first.order(side="buy" if n % 2 else "sell", price=f"{10 + n % 3}.00", client_order_id=f"n-{n}")
    book, trades = first.get("/v1/book/CIFT-USD"), first.get("/v1/trades/CIFT-USD")["trades"]
    first.stop()
    assert first.ended()
    hashes = [
        json.loads(_command(first, "replay", "--json", *more).stdout)["state_hash"]
        for more in ([], ["--from-snapshot"])
    ]
    assert hashes[0] == hashes[1]
    second = launch()
    assert second.get("/v1/book/CIFT-USD") == book
    assert second.get("/v1/trades/CIFT-USD")["trades"] == trades
    assert second.order(side="sell", price="10.00", client_order_id="n-0").status_code == 200


def test_a_damaged_journal_stops_with_its_position_and_is_not_served(launch: Launch, tmp_path: Path) -> None:
    first = launch()
    for _ in range(5):
        first.order()
    os.kill(first.matcher(), signal.SIGKILL)
    first.stop()
    assert first.ended()
    for snapshot in first.data.glob("*.snapshot"):
        snapshot.unlink()
    (segment,) = first.data.glob("*.journal")
    data = bytearray(segment.read_bytes())
    data[500] ^= 1
    segment.write_bytes(data)
    checked = _command(first, "verify-journal")
    assert checked.returncode == 1 and "offset" in checked.stderr and "Traceback" not in checked.stderr
    assert segment.read_bytes() == bytes(data)
