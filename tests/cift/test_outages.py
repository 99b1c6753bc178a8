"""What fails around the service: /ready tells the truth, orders are taken or honestly refused, and all comes back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from cift.adapters import keys
from cift.commands.http import Client, Login
from cift.settings import Settings
from tests.cift.conftest import HERE, Service, problem

Launch = Callable[..., Service]


def _until(what: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
    return found


def _ready(service: Service) -> tuple[int, dict[str, Any]]:
    answer = service.http.get("/ready")
    return answer.status_code, answer.json()["details"]


def test_with_a_full_disk_orders_are_refused_ready_says_why_and_both_recover_without_an_order(launch: Launch) -> None:
    # The disk is full in one half second of every two (tests/torture/bad_disk).
    service = launch(PYTHONPATH=f"{HERE / 'tests/torture/bad_disk'}:{HERE}", TORTURE_DISK="full")
    sent, taken = 0, 0
    deadline = time.monotonic() + 20
    while True:
        assert time.monotonic() < deadline, "no order was refused"
        answer = service.order(client_order_id=f"full-{sent}")
        sent += 1
        if answer.status_code == 201:
            taken += 1
        else:
            assert "nothing was taken" in problem(answer, 503)["detail"]
            if taken:
                break
    status, details = _ready(service)
    assert status == 503 and "No space left" in details["matcher"]
    _until(lambda: _ready(service)[0] == 200)
    assert service.get("/v1/book/CIFT-USD")["bids"][0]["orders"] == taken


# A disk of its own, in namespaces of its own, so that an ordinary user may mount it.
SMALL_DISK = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=24m none "$CIFT_DATA" && exec "$@"', "sh")


def test_on_a_disk_that_is_really_full_workers_live_and_only_orders_are_refused(
    launch: Launch,
) -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody have a mount namespace of their own")
    service = launch(2, SMALL_DISK)
    assert service.order(client_order_id="before").status_code == 201
    workers, disk = service.workers(), Path(f"/proc/{service.process.pid}/root{service.data}")
    settings = Settings.of_environment(
        {"CIFT_DATA": str(disk), "CIFT_RUNTIME_DIR": "/run"}
    )  # whose path would be too long
    account = Login(*keys.create(settings, "alice", ("read", "trade")))
    with (disk / "fill").open("wb", buffering=0) as fill, suppress(OSError):
        while True:
            fill.write(bytes(1 << 16))

    async def asked() -> Counter[tuple[str, int]]:
        met: Counter[tuple[str, int]] = Counter()
        client = Client(service.address, account)
        order = {"symbol": "CIFT-USD", "side": "buy", "price": "10.00", "quantity": "1"}
        for _ in range(150):  # each is a nonce, in a page of its own
            met["order", (await client.ask("POST", "/v1/orders", order)).status] += 1
            met["account", (await client.ask("GET", "/v1/account")).status] += 1
            met["metrics", (await client.ask("GET", "/metrics")).status] += 1
        client.close()
        return met

    met = asyncio.run(asked())
    assert set(met) <= {("order", 201), ("order", 503), ("account", 200), ("metrics", 200)} and met["order", 503]
    status, details = _ready(service)
    assert status == 503 and ("No space" in details["matcher"] or "full" in details["matcher"])
    assert service.workers() == workers
    os.kill(workers[0], signal.SIGKILL)
    _until(lambda: len(service.workers()) == 2 and service.workers() != workers)
    service.http.close()
    service.http = httpx.Client(base_url=service.address, timeout=20)
    assert asyncio.run(asked())["metrics", 200] == 150
    (disk / "fill").unlink()
    _until(lambda: _ready(service)[0] == 200)
    assert asyncio.run(asked())["order", 201] == 150


@contextmanager
def _silent_server() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def take() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for one in held:
            one.close()


def test_with_a_database_that_never_answers_orders_go_on_and_reads_are_refused_in_time(launch: Launch) -> None:
    with _silent_server() as port:
        service = launch(DATABASE_URL=f"postgresql://u:p@127.0.0.1:{port}/d")
        status, details = _ready(service)
        assert status == 200 and "has not answered" in details["read_model"]
        began = time.monotonic()
        assert [service.order(price="3.00").status_code for _ in range(5)] == [201] * 5
        assert time.monotonic() - began < 5
        assert "read model" in problem(service.http.get("/v1/trades/CIFT-USD"), 503)["detail"]
        assert time.monotonic() - began < 15
        assert service.get("/v1/account/positions")["positions"][0]["open_buy"] == "5.000"
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(20)


def test_a_matcher_that_is_stuck_is_told_of_and_an_order_meanwhile_is_not_called_refused(launch: Launch) -> None:
    service = launch(1)
    assert service.order(client_order_id="before").status_code == 201
    matcher = service.matcher()
    os.kill(matcher, signal.SIGSTOP)
    try:
        status, details = _ready(service)
        assert status == 503 and "not answered" in details["matcher"]
        assert service.http.get("/health").status_code == 200
        assert service.http.get("/metrics").status_code == 200
        body = problem(service.order(client_order_id="meanwhile"), 503)
        assert body["type"].endswith("outcome-unknown")
    finally:
        os.kill(matcher, signal.SIGCONT)
    _until(lambda: _ready(service)[0] == 200)
    assert service.order(client_order_id="meanwhile").status_code == 200  # it was taken, once
    assert service.get("/v1/book/CIFT-USD")["bids"][0]["orders"] == 2


def test_a_matcher_that_cannot_start_is_told_of_with_the_reason(launch: Launch) -> None:
    service = launch(1)
    for _ in range(3):
        service.order()
    os.kill(service.matcher(), signal.SIGKILL)
    (segment,) = service.data.glob("*.journal")
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    whole = segment.read_bytes()
    segment.write_bytes(data)
    for snapshot in service.data.glob("*.snapshot"):
        snapshot.unlink()

    def reason() -> str:
        status, details = _ready(service)
        return str(details["matcher"]) if status == 503 else ""

    assert "offset" in _until(lambda: "offset" in reason() and reason())
    assert "nothing was taken" in problem(service.order(), 503)["detail"]
    segment.write_bytes(whole)
    _until(lambda: _ready(service)[0] == 200)
    assert service.get("/v1/book/CIFT-USD")["bids"][0]["orders"] == 3


def test_keys_that_cannot_be_read_let_nobody_in(launch: Launch) -> None:
    service = launch(1)
    keys = service.data / "keys.json"
    keys.write_text("{")
    problem(service.http.get("/v1/account"), 503)
    assert _ready(service)[0] == 503
    keys.write_text('{"accounts": {}, "keys": {}}')
    problem(service.http.get("/v1/account"), 401)  # keys are in use here: that none is left opens nothing
    keys.unlink()
    problem(service.http.get("/v1/account"), 401)
    assert _ready(service)[0] == 200
