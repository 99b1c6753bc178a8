"""Signed requests: what is replayed, late, forged, malformed or beyond a key's scope is refused."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import httpx
import pytest
from websockets.sync.client import connect

from cift.adapters import admission, keys
from cift.adapters.admission import SharedAdmission
from cift.errors import Unavailable
from cift.settings import Settings
from cift.use_cases.access import Unauthenticated, authenticate, signature
from tests.cift.conftest import HERE, Service, problem


def _key(service: Service, scopes: str) -> tuple[str, str]:
    words = [sys.executable, "-m", "cift", "keys", "create", "alice", "--scopes", scopes]
    done = subprocess.run(words, cwd=HERE, env=service.environ, capture_output=True, text=True, check=True)
    lines = dict(line.split(": ") for line in done.stdout.splitlines())
    return lines["key"], lines["secret"]


def _signed(key: str, secret: str, method: str, target: str, body: bytes = b"", **changes: str) -> dict[str, str]:
    when, nonce = changes.get("time", str(time.time_ns() // 10**6)), changes.get("nonce", uuid.uuid4().hex)
    signed = signature(secret.encode(), when, nonce, method, target, body)
    return {"CIFT-Key": key, "CIFT-Timestamp": when, "CIFT-Nonce": nonce, "CIFT-Signature": signed}


def test_only_fresh_requests_with_a_right_signature_and_scope_are_answered(launch: Callable[..., Service]) -> None:
    service = launch()
    assert service.get("/v1/account")["account"] == "demo"
    reader, trader = _key(service, "read"), _key(service, "read,trade")

    def get(headers: dict[str, str], target: str = "/v1/account") -> httpx.Response:
        return service.http.get(target, headers=headers)

    good = _signed(*reader, "GET", "/v1/account")
    assert get(good).json()["account"] == "alice"
    for _ in range(4):  # whichever worker it meets
        assert "used before" in problem(get(good), 401)["detail"]
    assert "missing" in problem(get({}), 401)["detail"]
    old = _signed(*reader, "GET", "/v1/account", time=str(time.time_ns() // 10**6 - 120_000))
    assert "away" in problem(get(old), 401)["detail"]
    for changes in ({"time": "1" * 12}, {"time": "NaN"}, {"nonce": "short"}, {"nonce": "x" * 65}):
        problem(get(_signed(*reader, "GET", "/v1/account", **changes)), 401)
    forged, unknown = (
        _signed(reader[0], "0" * 64, "GET", "/v1/account"),
        _signed("ck_none", "0" * 64, "GET", "/v1/account"),
    )
    told = {problem(get(headers), 401)["detail"] for headers in (forged, unknown)}
    assert told == {"unknown key or wrong signature"}
    other = _signed(*reader, "GET", "/v1/orders")
    problem(get(other), 401)
    body = b'{"symbol": "CIFT-USD", "side": "buy", "price": "1.00", "quantity": "1"}'
    kind = {"Content-Type": "application/json"}
    denied = service.http.post("/v1/orders", content=body, headers=_signed(*reader, "POST", "/v1/orders", body) | kind)
    assert "scope" in problem(denied, 403)["detail"]
    taken = service.http.post("/v1/orders", content=body, headers=_signed(*trader, "POST", "/v1/orders", body) | kind)
    assert taken.status_code == 201
    changed = service.http.post(
        "/v1/orders", content=body.replace(b"buy", b"sell"), headers=_signed(*trader, "POST", "/v1/orders", body) | kind
    )
    problem(changed, 401)
    files = [service.data / "keys.json", service.data / "master.key"]
    assert all(stat.S_IMODE(os.stat(path).st_mode) == 0o600 for path in files)
    assert trader[1] not in files[0].read_text()


def test_a_key_that_asks_too_often_is_told_when_to_come_back(launch: Callable[..., Service]) -> None:
    service = launch(CIFT_RATE="5", CIFT_BURST="10")
    answers = [service.order(price="1.00") for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and answers[0].status_code == 201
    assert int(refused[0].headers["retry-after"]) >= 1 and refused[0].headers["x-ratelimit-remaining"] == "0"


def test_a_stream_of_orders_needs_a_fresh_signature_with_the_scope_read(launch: Callable[..., Service]) -> None:
    service = launch()
    reader, trader = _key(service, "read"), _key(service, "trade")

    def words(key: tuple[str, str], **changes: str) -> dict[str, str]:
        signed = _signed(*key, "GET", "/v1/stream", **changes)
        return {"op": "authenticate", **{name.removeprefix("CIFT-").lower(): value for name, value in signed.items()}}

    with connect(service.address.replace("http", "ws") + "/v1/stream", open_timeout=20) as stream:

        def said(message: dict[str, str]) -> dict[str, str]:
            stream.send(json.dumps(message))
            answer: dict[str, str] = json.loads(stream.recv(20))
            return answer

        orders = {"op": "subscribe", "channel": "orders"}
        assert "authenticate" in said(orders)["detail"]
        assert "scope" in said(words(trader))["detail"]
        late = str(time.time_ns() // 10**6 - 120_000)
        for wrong in (words(reader, time=late), words((reader[0], "0" * 64)), {"op": "authenticate"}):
            assert said(wrong)["type"] == "error"
        assert said(orders)["type"] == "error"
        good = words(reader)
        assert said(good) == {"type": "authenticated", "account": "alice"}
        assert "used before" in said(good)["detail"]
        assert said(orders)["type"] == "subscribed"


def test_a_revoked_key_signs_nothing_any_more(launch: Callable[..., Service]) -> None:
    service = launch()
    key, _ = _key(service, "read"), _key(service, "read")
    assert service.http.get("/v1/account", headers=_signed(*key, "GET", "/v1/account")).status_code == 200
    words = [sys.executable, "-m", "cift", "keys", "revoke", key[0]]
    subprocess.run(words, cwd=HERE, env=service.environ, check=True)
    for _ in range(4):  # whichever worker it meets
        problem(service.http.get("/v1/account", headers=_signed(*key, "GET", "/v1/account")), 401)


def test_an_unknown_key_and_a_wrong_signature_take_the_same_steps(tmp_path: Path) -> None:
    """A clock would tell little on a busy machine: what is compared is every call that Python makes meanwhile."""
    settings = Settings.of_environment({"CIFT_DATA": str(tmp_path)})
    known, secret = keys.create(settings, "alice", ("read",))
    issued, shared = keys.KeyFile(settings), SharedAdmission(tmp_path / "admission", 0, 1)
    assert issued.find(known) is not None  # read once, so that nobody's request is the first

    def steps(key: str, changed: Callable[[str], str]) -> list[str]:
        headers = {
            name.lower(): value
            for name, value in _signed(key, secret, "GET", "/v1/account", time="1000000000000").items()
        }
        headers["cift-signature"] = changed(headers["cift-signature"])
        called: list[str] = []

        def note(frame: FrameType, event: str, argument: object) -> None:
            if event in ("call", "c_call"):
                called.append(
                    frame.f_code.co_qualname if event == "call" else str(getattr(argument, "__name__", argument))
                )

        told = ""
        sys.setprofile(note)
        try:
            authenticate(issued, shared, headers, "GET", "/v1/account", b"", 1e9, 30)
        except Unauthenticated as error:
            told = str(error)
        finally:
            sys.setprofile(None)
        assert told == "unknown key or wrong signature"
        return called

    def swapped(at: int) -> Callable[[str], str]:
        return lambda text: text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]

    wrong = [steps(known, swapped(at)) for at in (0, 31, 63)]
    assert "compare_digest" in wrong[0]
    assert wrong[0] == wrong[1] == wrong[2] == steps("ck_" + "0" * 16, swapped(0)) == steps("", swapped(63))


def test_a_minute_of_five_thousand_signed_requests_a_second_finds_room_and_more_than_there_is_room_for_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedAdmission(tmp_path / "admission", 0, 1)
    later = time.time() + 3600
    assert all(shared.first_use("k", f"nonce-{n}", later) for n in range(5000 * 35))
    assert not any(shared.first_use("k", f"nonce-{n}", later) for n in range(0, 5000 * 35, 997))
    monkeypatch.setattr(admission, "_NONCES", 32)
    small = SharedAdmission(tmp_path / "small", 0, 1)
    assert all(small.first_use("k", f"nonce-{n}", later) for n in range(32))
    with pytest.raises(Unavailable, match="nothing was taken"):
        small.first_use("k", "nonce-32", later)
    assert not small.first_use("k", "nonce-0", later)
