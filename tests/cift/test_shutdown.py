"""SIGTERM under load: every request that was sent is answered, every acknowledged order is kept, and nothing is left running."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.cift.conftest import Service, processes

Launch = Callable[..., Service]
CLIENTS = 24


@dataclass
class _Met:
    acknowledged: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


async def _client(service: Service, number: int, met: _Met) -> None:
    """Orders over a connection that is kept as long as the service asks for no other, until there is nobody to connect to."""
    where = urlsplit(service.address)
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while True:
        if streams is None:
            try:
                streams = await asyncio.open_connection(where.hostname, where.port)
            except ConnectionRefusedError:
                return
        reader, writer = streams
        name = uuid.uuid4().hex
        order = {"symbol": "CIFT-USD", "side": "buy", "price": "10.00", "quantity": "1", "client_order_id": name}
        body = json.dumps(order)
        head = (
            f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        )
        try:
            writer.write(f"{head}\r\n{body}".encode())
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
            answer = json.loads(await reader.readexactly(length))
        except (OSError, EOFError) as error:
            met.wrong.append(repr(error))
            return
        if lines[0].split()[1] == "201":
            met.acknowledged[name] = answer["id"]
        else:
            met.wrong.append(str(answer))
        if "connection: close" in lines or number % 4 == 0:
            writer.close()
            streams = None
        await asyncio.sleep(0.01)


async def _load(service: Service, met: _Met) -> None:
    clients = [asyncio.create_task(_client(service, number, met)) for number in range(CLIENTS)]
    await asyncio.sleep(1.5)
    service.process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*clients), 30)


def test_a_service_that_is_told_to_end_answers_all_it_was_asked_and_leaves_nothing_behind(launch: Launch) -> None:
    service, met = launch(3), _Met()
    asyncio.run(_load(service, met))
    assert met.wrong == [] and len(met.acknowledged) > CLIENTS
    assert service.process.wait(10) == 0
    for module in ("cift.uvicorn", "cift.adapters.matcher", "cift.adapters.projector"):
        assert processes(service.data, module) == [], module
    assert list(service.data.glob("*.snapshot"))
    again = launch(1)
    for name, number in met.acknowledged.items():
        assert again.get(f"/v1/orders/by-client-id/{name}")["id"] == number


def test_a_stream_is_told_that_its_worker_ends_and_ready_says_so_while_it_drains(launch: Launch) -> None:
    service = launch(1, CIFT_DRAIN="3")
    with connect(service.address.replace("http", "ws") + "/v1/stream", open_timeout=20) as stream:
        stream.send('{"op": "ping"}')
        stream.recv(20)
        service.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 2.5
        while (answer := httpx.get(service.address + "/ready")).status_code == 200:
            assert time.monotonic() < deadline, "it goes on as if nothing were"
            time.sleep(0.05)
        assert answer.status_code == 503 and answer.json()["details"]["worker"] == "is ending"
        assert answer.headers["connection"] == "close"
        assert httpx.get(service.address + "/health").status_code == 200
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                stream.recv(20)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    service.process.wait(20)


@pytest.mark.parametrize("just_forked", [False, True])
def test_workers_whose_supervisor_was_killed_end_too(launch: Launch, just_forked: bool) -> None:
    service = launch(2)
    if just_forked:
        (one, two), deadline = service.workers(), time.monotonic() + 20
        os.kill(one, signal.SIGKILL)
        while not set(service.workers()) - {one, two}:
            assert time.monotonic() < deadline, "it was not replaced"
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait(10)
    deadline = time.monotonic() + 20
    while processes(service.data, "cift.uvicorn"):
        assert time.monotonic() < deadline, "they live on"
        time.sleep(0.1)
    assert service.ended()
