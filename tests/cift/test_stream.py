"""The WebSocket: a client that applies what it is sent has the venue's book."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from cift.domain.instruments import instrument
from tests.cift.conftest import Service


def _open(service: Service, *topics: dict[str, str]) -> ClientConnection:
    socket = connect(service.address.replace("http", "ws") + "/v1/stream", open_timeout=20)
    for topic in topics:
        socket.send(json.dumps({"op": "subscribe", **topic}))
    return socket


def _until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(socket.recv(20))
        if message["type"] == kind:
            return message


class _Copy:
    """A client's copy of the book."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
        self.sequence = snapshot["sequence"]
        self.take(snapshot)

    def take(self, message: dict[str, Any]) -> None:
        assert message.get("previous", self.sequence) == self.sequence
        for side in ("bids", "asks"):
            for price, quantity, orders in message[side]:
                if orders:
                    self.sides[side][price] = quantity
                else:
                    del self.sides[side][price]
        self.sequence = message["sequence"]
        traded = instrument("CIFT-USD")
        rows = []
        for side, reverse in (("bids", True), ("asks", False)):
            best = sorted(self.sides[side], key=float, reverse=reverse)[:10]
            rows += [f"{traded.ticks(price)}:{traded.lots(self.sides[side][price])}" for price in best]
        assert zlib.crc32(",".join(rows).encode()) == message["checksum"]


def test_changes_of_the_book_follow_the_snapshot_without_gap_and_checksums_agree(
    launch: Callable[..., Service],
) -> None:
    service = launch()
    service.order(price="10.00")
    with _open(service, {"channel": "book", "symbol": "CIFT-USD"}) as socket:
        copy = _Copy(_until(socket, "snapshot"))
        for n in range(30):
            service.order(side="sell" if n % 3 else "buy", price=f"{10 + n % 5}.00", quantity="1.5")
        last = service.get("/v1/book/CIFT-USD")
        while copy.sequence < last["sequence"]:
            copy.take(_until(socket, "book"))
        for side in ("bids", "asks"):
            assert {level["price"]: level["quantity"] for level in last[side]} == copy.sides[side]


def test_an_account_sees_its_own_orders_and_the_tape_has_the_trade(launch: Callable[..., Service]) -> None:
    service = launch()
    topics = ({"channel": "orders"}, {"channel": "trades", "symbol": "CIFT-USD"})
    with _open(service, *topics) as socket:
        for _ in topics:
            _until(socket, "subscribed")
        maker = service.order(price="10.00").json()["id"]
        assert _until(socket, "order")["order"]["id"] == maker
        service.order(side="sell", price="10.00")
        assert _until(socket, "trades")["trades"][0]["price"] == "10.00"
        while (message := _until(socket, "order"))["order"]["id"] != maker:
            pass
        assert message["order"]["status"] == "filled" and message["trades"][0]["liquidity"] == "maker"


def test_a_new_snapshot_comes_after_the_matcher_was_killed(launch: Callable[..., Service]) -> None:
    service = launch()
    service.order(price="10.00")
    with _open(service, {"channel": "book", "symbol": "CIFT-USD"}) as socket:
        _until(socket, "snapshot")
        os.kill(service.matcher(), signal.SIGKILL)
        assert _until(socket, "snapshot")["bids"] == [["10.00", "1.000", 1]]


def test_what_makes_no_sense_is_told_so(launch: Callable[..., Service]) -> None:
    service = launch()
    with _open(service) as socket:
        for text in (
            "{",
            "[]",
            '{"op": "fly"}',
            '{"op": "subscribe", "channel": "book", "symbol": "NONE"}',
            "[" * 4000,
        ):
            socket.send(text)
            assert _until(socket, "error")["detail"]
        socket.send('{"op": "ping"}')
        _until(socket, "pong")


def _narrow(service: Service) -> socket.socket:
    """A connection that buffers little."""
    where = urlsplit(service.address)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect((where.hostname, where.port))
    return narrow


def _overrun(service: Service, dropped: int) -> None:
    """Orders until so many clients were dropped."""
    order = {"symbol": "CIFT-USD", "side": "buy", "price": "10.00", "quantity": "1"}
    for _ in range(400):
        service.http.post("/v1/orders/batch", json={"orders": [order] * 50})
        if f'cift_streams_dropped_total{{reason="slow"}} {dropped}.0' in service.http.get("/metrics").text:
            return
    raise AssertionError("they were not dropped")


def test_clients_that_never_read_are_cut_off_in_the_end(launch: Callable[..., Service]) -> None:
    service = launch(1)
    head = (
        "GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
    )
    words = b'{"op": "subscribe", "channel": "orders"}'
    deaf = [_narrow(service) for _ in range(3)]
    for one in deaf:
        one.sendall(f"{head}\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
        time.sleep(0.2)
        one.sendall(bytes((0x81, 0x80 | len(words), 0, 0, 0, 0)) + words)  # RFC 6455, section 5.2, masked by zeros
    _overrun(service, len(deaf))
    gone = select.poll()
    for one in deaf:
        gone.register(one, 0)  # errors alone: nobody reads
    deadline = time.monotonic() + 30
    while len(gone.poll(0)) < len(deaf):
        assert time.monotonic() < deadline, "the service holds on to them"
        time.sleep(0.1)
    assert "cift_streams 0.0" in service.http.get("/metrics").text
    for one in deaf:
        one.close()


def test_a_client_that_does_not_read_is_dropped_with_a_reason_and_the_others_go_on(
    launch: Callable[..., Service],
) -> None:
    service = launch(2)
    address = service.address.replace("http", "ws") + "/v1/stream"
    with (
        connect(address, sock=_narrow(service), max_queue=1, compression=None) as slow,
        _open(service, {"channel": "orders"}) as quick,
    ):
        slow.send('{"op": "subscribe", "channel": "orders"}')
        _until(slow, "subscribed")
        order = {"symbol": "CIFT-USD", "side": "buy", "price": "10.00", "quantity": "1"}
        sent = 0
        while 'cift_streams_dropped_total{reason="slow"} 1.0' not in service.http.get("/metrics").text:
            assert sent < 6000, "it was not dropped"
            answer = service.http.post("/v1/orders/batch", json={"orders": [order] * 50})
            last = answer.json()["results"][-1]["id"]
            sent += 50
            while _until(quick, "order")["order"]["id"] != last:
                pass
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                slow.recv(20)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason[:8]) == (1013, "too slow")
        quick.send('{"op": "ping"}')
        _until(quick, "pong")
