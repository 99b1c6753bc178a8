"""The service as it is run: uvicorn with four workers, on the wheel that the pipeline built."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cift.domain.instruments import InvalidInput, instrument

HERE = Path(__file__).resolve().parents[2]
core = pytest.importorskip("cift_core", reason="the Rust core is not installed: run make build, then make test")


@pytest.mark.parametrize("text", ["NaN", "1e3", "-1", "0", "0.00", "", " 1", "1.001", "9" * 13, "١", "+1", "1_0"])
def test_a_price_that_is_no_plain_decimal_on_the_tick_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="price"):
        instrument("CIFT-USD").ticks(text)


def test_a_decimal_survives_the_way_to_ticks_and_back() -> None:
    traded = instrument("CIFT-USD")
    assert traded.price(traded.ticks("100.20")) == "100.20"
    assert traded.quantity(traded.lots("0.001")) == "0.001"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [
        sys.executable,
        "-m",
        "uvicorn",
        "cift.api.main:app",
        "--port",
        str(port),
        "--workers",
        "4",
        "--no-access-log",
    ]
    environ = {**os.environ, "CIFT_RUNTIME_DIR": str(tmp_path / "run"), "PYTHONPATH": str(HERE)}
    running = subprocess.Popen(words, cwd=HERE, env=environ, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{address}/health")
            break
        except httpx.TransportError:
            time.sleep(0.05)
    yield address, running
    running.terminate()
    running.wait(20)


def _order(address: str, **changes: object) -> httpx.Response:
    body = {"symbol": "CIFT-USD", "side": "buy", "price": "10.00", "quantity": "1", **changes}
    return httpx.post(f"{address}/v1/orders", json=body)


def test_four_workers_share_one_book(service: tuple[str, subprocess.Popen[bytes]]) -> None:
    address, _ = service
    for _ in range(40):
        assert _order(address).status_code == 201
    book = httpx.get(f"{address}/v1/book/CIFT-USD").json()
    assert book["bids"] == [{"price": "10.00", "quantity": "40.000", "orders": 40}]
    taken = _order(address, side="sell", quantity="40").json()
    assert taken["status"] == "filled" and len(taken["trades"]) == 40
    assert [t["maker_order_id"] for t in taken["trades"]] == list(range(1, 41))


@pytest.mark.parametrize(
    "changes",
    [{"price": "NaN"}, {"price": 10.0}, {"quantity": "-1"}, {"side": "hold"}, {"symbol": "NONE"}, {"colour": "red"}],
)
def test_bad_input_is_one_clear_4xx(service: tuple[str, subprocess.Popen[bytes]], changes: dict[str, object]) -> None:
    answer = _order(service[0], **changes)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_an_order_is_cancelled_once(service: tuple[str, subprocess.Popen[bytes]]) -> None:
    address, _ = service
    order = _order(address).json()["id"]
    assert httpx.delete(f"{address}/v1/orders/CIFT-USD/{order}").json() == {"cancelled": "1.000"}
    assert httpx.delete(f"{address}/v1/orders/CIFT-USD/{order}").status_code == 404


def test_the_matcher_ends_with_its_last_worker(service: tuple[str, subprocess.Popen[bytes]], tmp_path: Path) -> None:
    _, running = service
    children = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    assert "cift.adapters.matcher" in children
    running.send_signal(signal.SIGTERM)
    running.wait(20)
    socket_path = tmp_path / "run/matcher.sock"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(socket_path))
            except OSError:
                return
        time.sleep(0.5 if time.monotonic() < deadline - 7 else 2.5)
    pytest.fail("the matcher still answers")
