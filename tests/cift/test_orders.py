"""Orders over HTTP, on several workers and one book."""

from __future__ import annotations

import json
import socket
import uuid
from urllib.parse import urlsplit

import pytest

from cift.domain.instruments import instrument
from cift.errors import InvalidInput
from tests.cift.conftest import Service, problem


@pytest.mark.parametrize("text", ["NaN", "1e3", "-1", "0", "0.00", "", " 1", "1.001", "9" * 13, "١", "+1", "1_0", "1."])
def test_a_price_that_is_no_plain_decimal_on_the_tick_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="price"):
        instrument("CIFT-USD").ticks(text)


def test_a_decimal_survives_the_way_to_ticks_and_back() -> None:
    traded = instrument("CIFT-USD")
    assert traded.price(traded.ticks("100.20")) == "100.20"
    assert traded.quantity(traded.lots("0.001")) == "0.001"
    assert traded.quantity(-1500) == "-1.500"


def _name() -> str:
    return uuid.uuid4().hex[:20]


def test_workers_share_one_book_in_price_and_time_order(shared: Service) -> None:
    for _ in range(20):
        assert shared.order(price="11.00").status_code == 201
    best = shared.get("/v1/book/CIFT-USD")["bids"][0]
    assert best == {"price": "11.00", "quantity": "20.000", "orders": 20}
    taken = shared.order(side="sell", price="11.00", quantity="20").json()
    assert taken["status"] == "filled" and taken["average_price"] == "11.000000" and len(taken["trades"]) == 20
    makers = [t["maker_order_id"] for t in taken["trades"]]
    assert makers == sorted(makers)


def test_an_order_sent_twice_is_taken_once(shared: Service) -> None:
    name = _name()
    first, again = shared.order(client_order_id=name), shared.order(client_order_id=name)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert problem(shared.order(client_order_id=name, quantity="2"), 409)["reason"] == "client_id_taken"
    assert shared.get(f"/v1/orders/by-client-id/{name}")["id"] == first.json()["id"]
    assert shared.http.delete(f"/v1/orders/by-client-id/{name}").json()["status"] == "canceled"
    assert shared.order(client_order_id=name).json()["status"] == "canceled"


def test_cancelling_twice_is_no_error_and_cancelling_a_filled_order_is_one(shared: Service) -> None:
    order = shared.order(price="9.00").json()["id"]
    for _ in range(2):
        answer = shared.http.delete(f"/v1/orders/{order}")
        assert answer.status_code == 200 and answer.json()["status"] == "canceled"
    maker = shared.order(price="12.00", side="buy").json()["id"]
    assert shared.order(price="12.00", side="sell").json()["status"] == "filled"
    body = problem(shared.http.delete(f"/v1/orders/{maker}"), 409)
    assert body["order"]["status"] == "filled"
    problem(shared.http.delete("/v1/orders/999999999"), 404)


def test_a_replace_keeps_its_place_only_when_quantity_falls(shared: Service) -> None:
    first = shared.order(price="13.00", quantity="2").json()["id"]
    second = shared.order(price="13.00", quantity="2").json()["id"]
    less = shared.http.patch(f"/v1/orders/{first}", json={"quantity": "1"}).json()
    assert less["quantity"] == "1.000" and less["remaining"] == "1.000"
    taken = shared.order(price="13.00", side="sell", quantity="1").json()
    assert taken["trades"][0]["maker_order_id"] == first
    moved = shared.http.patch(f"/v1/orders/{second}", json={"price": "13.01", "quantity": "3"}).json()
    assert (moved["price"], moved["remaining"]) == ("13.01", "3.000")
    shared.http.delete(f"/v1/orders/{second}")
    problem(shared.http.patch(f"/v1/orders/{second}", json={"quantity": "1"}), 409)


def test_every_type_of_order_is_taken(shared: Service) -> None:
    headers = {"CIFT-Demo-Account": "demo-4"}
    tickets: list[dict[str, object]] = [
        {"type": "limit", "price": "5.00", "time_in_force": "day"},
        {"type": "limit", "price": "5.00", "time_in_force": "gtd", "expires_at": "2099-01-01T00:00:00Z"},
        {"type": "limit", "price": "5.00", "post_only": True},
        {"type": "limit", "price": "5.00", "quantity": "10", "display_quantity": "1"},
        {"type": "stop", "stop_price": "900.00"},
        {"type": "stop_limit", "stop_price": "900.00", "price": "901.00"},
        {"type": "limit", "price": "5.00", "time_in_force": "ioc"},
        {"type": "limit", "price": "5.00", "time_in_force": "fok"},
        {"type": "market"},
        {"type": "limit", "price": "5.00", "self_trade_prevention": "cancel_both"},
    ]
    full = [{"symbol": "ETH-USD", "side": "buy", "quantity": "1", **t} for t in tickets]
    answer = shared.http.post("/v1/orders/batch", json={"orders": full}, headers=headers)
    results = answer.json()["results"]
    assert [r["status"] for r in results] == [*["open"] * 4, *["waiting"] * 2, *["canceled"] * 3, "open"], results
    gone = shared.http.delete("/v1/orders", headers=headers).json()["cancelled"]
    assert sorted(gone) == [r["id"] for r in results if r["status"] in ("open", "waiting")]


def test_one_bad_order_of_a_batch_does_not_hold_up_the_others(shared: Service) -> None:
    good = {"symbol": "CIFT-USD", "side": "buy", "price": "8.00", "quantity": "1"}
    orders = [good, {**good, "price": "8.001"}, good]
    results = shared.http.post("/v1/orders/batch", json={"orders": orders}).json()["results"]
    assert [r["status"] for r in results] == ["open", 422, "open"]
    assert "price" in results[1]["detail"]


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "NaN"},
        {"price": 10.0},
        {"price": "1e2"},
        {"price": None},
        {"quantity": "-1"},
        {"quantity": "9" * 26},
        {"quantity": "0.0001"},
        {"side": "hold"},
        {"symbol": "NONE"},
        {"colour": "red"},
        {"type": "market"},
        {"stop_price": "1.00"},
        {"expires_at": "2099-01-01T00:00:00Z"},
        {"time_in_force": "gtd", "expires_at": "2099-01-01T00:00:00"},
        {"post_only": True, "time_in_force": "ioc"},
        {"client_order_id": "a b"},
        {"client_order_id": "x" * 37},
        {"display_quantity": "2"},
    ],
)
def test_bad_input_is_one_clear_422_and_changes_nothing(shared: Service, changes: dict[str, object]) -> None:
    before = shared.get("/ready")["details"]["sequence"]
    problem(shared.order(**changes), 422)
    assert shared.get("/ready")["details"]["sequence"] == before


def test_limits_of_risk_hold(shared: Service) -> None:
    headers = {"CIFT-Demo-Account": "demo-5"}

    def sent(**changes: object) -> tuple[int, str]:
        body = {"symbol": "BTC-USD", "side": "buy", "price": "50000.00", "quantity": "1", **changes}
        answer = shared.http.post("/v1/orders", json=body, headers=headers)
        return answer.status_code, answer.json().get("reason")

    assert sent(quantity="201") == (409, "max_notional")
    for _ in range(10):
        assert sent(quantity="199")[0] == 201
    assert sent(quantity="199") == (409, "max_position")
    assert sent(side="sell", price="50000.00", quantity="1")[0] == 201  # trades: there is a last price from now on
    shared.http.delete("/v1/orders", headers=headers)
    assert sent(side="buy", price="76000.00", quantity="0.1") == (409, "collar")
    assert sent(side="sell", price="24000.00", quantity="0.1") == (409, "collar")
    shared.http.delete("/v1/orders", headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/orders", b"{", 400),
        ("POST", "/v1/orders", b'{"symbol": "\xff"}', 400),
        ("POST", "/v1/orders", b"[" * 100_000, 400),
        ("POST", "/v1/orders", b'{"a":' * 50_000, 400),
        ("POST", "/v1/orders", b"[]", 422),
        ("POST", "/v1/orders", b"x" * 10_000_000, 413),
        ("GET", "/v1/orders/0", b"", 422),
        ("GET", "/v1/orders/99999999999999999999", b"", 422),
        ("GET", "/v1/orders?before=zz", b"", 422),
        ("GET", "/v1/orders?before=ffffffffffffffff", b"", 422),
        ("GET", "/v1/book/CIFT-USD?depth=-1", b"", 422),
        ("GET", "/v1/book/NOPE", b"", 422),
        ("GET", "/v1/trades/CIFT-USD?limit=1e9", b"", 422),
        ("GET", "/nowhere", b"", 404),
        ("PUT", "/v1/orders", b"", 405),
    ],
)
def test_what_cannot_be_answered_is_a_problem_document(
    shared: Service, method: str, path: str, body: bytes, status: int
) -> None:
    answer = shared.http.request(method, path, content=body, headers={"Content-Type": "application/json"})
    problem(answer, status)


def test_a_body_without_a_length_is_cut_off_at_the_limit(shared: Service) -> None:
    def endless() -> object:
        for _ in range(64):
            yield b" " * 65536

    answer = shared.http.post("/v1/orders", content=endless(), headers={"Content-Type": "application/json"})  # type: ignore[arg-type]
    problem(answer, 413)


def test_a_client_that_hangs_up_in_the_middle_changes_nothing(shared: Service) -> None:
    before = shared.get("/ready")["details"]["sequence"]
    where = urlsplit(shared.address)
    body = json.dumps({"symbol": "CIFT-USD", "side": "buy", "price": "1.00", "quantity": "1"}).encode()
    head = (
        f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for cut in (10, len(head) - 2, len(head) + 5):
        with socket.create_connection((where.hostname or "", where.port or 0)) as client:
            client.sendall((head.encode() + body)[:cut])
            client.shutdown(socket.SHUT_WR)
            client.settimeout(5)
            while client.recv(4096):
                pass
    assert shared.get("/ready")["details"]["sequence"] == before


def test_lists_are_paged_by_cursor_without_gap_or_double(shared: Service) -> None:
    headers = {"CIFT-Demo-Account": "demo-6"}
    ids = []
    for _ in range(7):
        body = {"symbol": "CIFT-USD", "side": "buy", "price": "2.00", "quantity": "1"}
        ids.append(shared.http.post("/v1/orders", json=body, headers=headers).json()["id"])
    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = shared.http.get("/v1/orders", params={"limit": "3", "status": "open", **cursor}, headers=headers).json()
        seen += [order["id"] for order in page["orders"]]
        if page["next_cursor"] is None:
            break
        cursor = {"before": page["next_cursor"]}
    assert seen == ids[::-1]
    shared.http.delete("/v1/orders", headers=headers)


def test_positions_and_trades_of_both_accounts_agree(shared: Service) -> None:
    buyer, seller = {"CIFT-Demo-Account": "demo-7"}, {"CIFT-Demo-Account": "demo-8"}
    body = {"symbol": "ETH-USD", "price": "2000.00", "quantity": "0.5"}
    shared.http.post("/v1/orders", json={**body, "side": "sell"}, headers=seller)
    shared.http.post("/v1/orders", json={**body, "side": "buy"}, headers=buyer)
    rows = [shared.http.get("/v1/account/positions", headers=h).json()["positions"][0] for h in (buyer, seller)]
    assert [row["quantity"] for row in rows] == ["0.50000", "-0.50000"]
    assert [row["cash"] for row in rows] == ["-1000.0000000", "1000.0000000"]
    trades = [shared.http.get("/v1/account/trades", headers=h).json()["trades"][0] for h in (buyer, seller)]
    assert [(t["side"], t["liquidity"]) for t in trades] == [("buy", "taker"), ("sell", "maker")]
    assert shared.get("/v1/trades/ETH-USD")["trades"][0]["id"] == trades[0]["id"]
    candle = shared.get("/v1/klines/ETH-USD", interval="1h")["klines"][-1]
    assert candle["close"] == "2000.00"
