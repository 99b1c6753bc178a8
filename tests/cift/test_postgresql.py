"""The read model in a real PostgreSQL: it follows, resumes where it was, and the venue goes on without it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cift.conftest import Service, problem, processes
from tests.parts.postgresql import PASSWORD, Server

Launch = Callable[..., Service]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("postgresql"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def database(server: Server) -> Server:
    """The server, running, with nothing in it."""
    server.kill()
    server.start()
    connection = server.connection()
    connection.cursor().execute("DROP SCHEMA public CASCADE")
    connection.cursor().execute("CREATE SCHEMA public")
    connection.commit()
    connection.close()
    return server


def _read_model(service: Service) -> str:
    said: str = service.http.get("/ready").json()["details"]["read_model"]
    return said


def _until(what: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
    return found


def _trade(service: Service, times: int) -> None:
    for n in range(times):
        assert service.order(side="sell" if n % 2 else "buy", price=f"{10 + n % 3}.00").status_code == 201


def test_every_order_and_trade_is_in_the_tables_once_whoever_is_killed(launch: Launch, database: Server) -> None:
    service = launch(DATABASE_URL=database.url)
    _trade(service, 20)
    for _ in range(2):
        for pid in processes(service.data, "cift.adapters.projector"):
            os.kill(pid, signal.SIGKILL)
        _trade(service, 11)
        database.kill()
        _trade(service, 11)
        database.start()
        _trade(service, 5)
    _until(lambda: _read_model(service) == "ok")
    orders = {row[0]: row[1:] for row in database.rows("SELECT id, filled, remaining, status FROM orders")}
    assert len(orders) == 20 + 2 * 27
    listed = service.get("/v1/orders", limit=500)["orders"]
    assert {order["id"] for order in listed} == set(orders)
    filled = sum(int(str(filled)) for filled, _, _ in orders.values())
    ((trades, traded, distinct),) = database.rows("SELECT count(*), sum(quantity), count(DISTINCT id) FROM trades")
    assert trades == distinct == len(service.get("/v1/trades/CIFT-USD", limit=500)["trades"])
    assert filled == 2 * int(str(traded)) > 0
    ((volume,),) = database.rows("SELECT sum(volume) FROM candles")
    assert volume == traded
    ((sequence,),) = database.rows("SELECT sequence FROM progress")
    assert sequence == service.get("/ready")["details"]["sequence"]
    assert service.get("/v1/klines/CIFT-USD")["klines"]
    ((net, cash),) = database.rows("SELECT net, cash FROM positions WHERE account = 1")
    assert (net, int(str(cash))) == (0, 0)


def test_orders_go_on_without_the_database_and_ready_says_that_it_is_gone(launch: Launch, database: Server) -> None:
    service = launch(DATABASE_URL=database.url)
    maker = service.order().json()["id"]
    _until(lambda: _read_model(service) == "ok")
    database.kill()
    _until(lambda: "reached" in _read_model(service) or "failed" in _read_model(service))
    assert service.http.get("/ready").json()["status"] == "ready"
    assert service.order(side="sell", price="10.00").json()["status"] == "filled"
    assert service.get(f"/v1/orders/{maker}")["status"] == "filled"
    for path in ("/v1/trades/CIFT-USD", "/v1/orders", "/v1/klines/CIFT-USD", "/v1/account/trades"):
        assert "read model" in problem(service.http.get(path), 503)["detail"]
    database.start()
    _until(lambda: _read_model(service) == "ok")
    for _ in range(12):  # whichever worker and connection it meets
        assert len(service.get("/v1/trades/CIFT-USD")["trades"]) == 1


def test_a_refused_password_is_told_and_the_password_is_nowhere(launch: Launch, database: Server) -> None:
    wrong = database.url.replace("k9", "k8")
    service = launch(DATABASE_URL=wrong)
    assert "password" in _until(lambda: _read_model(service))
    assert service.order().status_code == 201
    service.stop()
    assert service.ended()
    log = service.log.read_text()
    assert "password authentication failed" in log
    assert "k8" not in log and PASSWORD not in log and "Traceback" not in log


def test_tables_that_were_filled_from_another_journal_are_not_touched(
    launch: Launch, database: Server, tmp_path: Path
) -> None:
    first = launch(DATABASE_URL=database.url)
    first.order()
    _until(lambda: _read_model(first) == "ok")
    first.stop()
    assert first.ended()
    rows = database.rows("SELECT * FROM orders")
    for path in [*first.data.glob("*.journal"), *first.data.glob("*.snapshot")]:
        path.unlink()
    second = launch(DATABASE_URL=database.url)
    second.order(price="9.00")
    _until(lambda: "another journal" in second.log.read_text())
    assert database.rows("SELECT * FROM orders") == rows
