"""What strangers send over real sockets: each gets one clear refusal, and nothing has changed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.cift.conftest import Service

ORDER = {"symbol": "CIFT-USD", "side": "buy", "price": "1.00", "quantity": "1"}


@contextmanager
def _nothing_changes(service: Service) -> Iterator[None]:
    before = service.get("/ready")["details"]["sequence"], service.get("/v1/account")["open_orders"]
    yield
    assert (service.get("/ready")["details"]["sequence"], service.get("/v1/account")["open_orders"]) == before


def _spoken(service: Service, *pieces: bytes, half_closed: bool = False) -> bytes:
    """All that the service answers to bytes, until it closes."""
    where = urlsplit(service.address)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as client:
        for piece in pieces:
            client.sendall(piece)
        if half_closed:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(1 << 16):
            answer += data
    return answer


def _post(body: bytes, *headers: str, kind: str | None = "application/json") -> bytes:
    words = ["POST /v1/orders HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}", *headers]
    if kind is not None:
        words.append(f"Content-Type: {kind}")
    return "\r\n".join([*words, "", ""]).encode() + body


def _refusal(answer: bytes, *statuses: int) -> str:
    """The detail of the one problem document that an answer must be."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) in statuses, answer[:400]
    assert answer.count(b"HTTP/1.1 4") == 1 and b"application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] in statuses and problem["detail"]
    return str(problem["detail"])


def _with(field: str, literal: str) -> bytes:
    rest = ", ".join(f'"{name}": "{value}"' for name, value in ORDER.items() if name != field)
    return f'{{{rest}, "{field}": {literal}}}'.encode()


_LITERALS = '"NaN" NaN Infinity -Infinity "1e3" 1e3 1e999 "-1" -1 "0" 1.5 true null [] "1,5" "0x10" "１" "1.0000001"'
NO_NUMBERS = [
    *_LITERALS.split(),
    *(f'"{"9" * 26}"', "9" * 30, "9" * 5000, '"\\ud800"', '"1\\u0000"', '" 1"', '""'),
]


@pytest.mark.parametrize("field", ["price", "quantity"])
@pytest.mark.parametrize("literal", NO_NUMBERS)
def test_a_number_that_is_none_is_refused(shared: Service, field: str, literal: str) -> None:
    with _nothing_changes(shared):
        _refusal(_spoken(shared, _post(_with(field, literal))), 400, 422)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"symbol": "CIFT-USD", "side": "buy", "price": "1.00", "price": "2.00", "quantity": "1"}', 400, "twice"),
        (b'{"symbol": "\xc3\x28", "side": "buy"}', 400, "UTF-8"),
        (b"\xff\xfe{\x00}\x00", 400, "UTF-8"),
        (b"[" * 200_000, 400, ""),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, ""),
        (b"{} {}", 400, "JSON"),
        (b"null", 422, ""),
        (b"", 422, ""),
    ],
)
def test_a_body_that_is_no_order_is_refused(shared: Service, body: bytes, status: int, words: str) -> None:
    with _nothing_changes(shared):
        assert words in _refusal(_spoken(shared, _post(body)), status)


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "a"])
def test_a_body_of_another_type_is_refused(shared: Service, kind: str | None) -> None:
    with _nothing_changes(shared):
        assert "application/json" in _refusal(_spoken(shared, _post(json.dumps(ORDER).encode(), kind=kind)), 415)


@pytest.mark.parametrize("path", ["/v1/orders", "/nowhere", "/v1/orders/batch"])
def test_ten_megabytes_are_refused_with_an_answer_that_arrives(shared: Service, path: str) -> None:
    body = b'{"a": "' + b"x" * 10_000_000 + b'"}'
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[at : at + 60_000]), body[at : at + 60_000]) for at in range(0, len(body), 60_000)
    )
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    with _nothing_changes(shared):
        for length, sent in (
            (f"Content-Length: {len(body)}", body),
            ("Transfer-Encoding: chunked", chunks + b"0\r\n\r\n"),
        ):
            _refusal(_spoken(shared, f"{head}{length}\r\n\r\n".encode(), sent), 404, 413)


def test_a_client_that_asks_first_is_refused_before_it_sends(shared: Service) -> None:
    head = _post(b"", "Expect: 100-continue").replace(b"Content-Length: 0", b"Content-Length: 10000000")
    _refusal(_spoken(shared, head), 413)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Flood: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)),
        b"GET /" + b"a" * 200_000,
    ],
)
def test_a_flood_of_headers_is_cut_off(shared: Service, head: bytes) -> None:
    pieces = [head[at : at + 8192] for at in range(0, len(head), 8192)]
    where = urlsplit(shared.address)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as client:
        sent, answer = 0, b""
        client.settimeout(0.05)
        for piece in pieces:
            try:
                client.sendall(piece)
                sent += len(piece)
                answer += client.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            if answer:
                break
    assert sent < 100_000
    _refusal(answer, 431)


@pytest.mark.parametrize(
    "flood",
    [
        b"0\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(100_000)),
        b"0\r\nX: " + b"a" * 2_000_000,
        b"1;" + b"a" * 2_000_000,
    ],
    ids=["trailers", "a trailer", "an extension"],
)
def test_what_surrounds_a_body_without_end_is_refused(shared: Service, flood: bytes) -> None:
    head = _post(b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    with _nothing_changes(shared):
        assert "may have" in _refusal(_spoken(shared, head + b"1\r\n{\r\n", flood), 431)


def test_a_message_that_is_too_large_as_a_whole_is_told_so(launch: Callable[..., Service]) -> None:
    service = launch(1, CIFT_MAX_BODY=str(1 << 30))
    detail = _refusal(_spoken(service, _post(b" " * (65 << 20))), 413)
    assert detail == f"a request may have {64 << 20} bytes in all"


def test_a_client_that_does_not_read_its_answers_does_not_keep_the_service_from_ending(
    launch: Callable[..., Service],
) -> None:
    service = launch(1)
    where = urlsplit(service.address)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((where.hostname, where.port))
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        time.sleep(0.5)
        service.stop()


@pytest.mark.parametrize(
    "words",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"hello\r\n\r\n",
        b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_http_is_told_so(shared: Service, words: bytes) -> None:
    with _nothing_changes(shared):
        _refusal(_spoken(shared, words), 400)


@pytest.mark.parametrize(
    "path", ["/v1/orders/" + "9" * 5000, "/v1/orders/0", "/v1/orders/-1", "/v1/orders/%ff", "/v1/book/%00"]
)
def test_a_path_that_names_nothing_is_refused(shared: Service, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    _refusal(_spoken(shared, request), 404, 405, 422)


def test_a_request_that_ends_in_the_middle_is_refused_and_nothing_changes(shared: Service) -> None:
    whole = _post(json.dumps(ORDER).encode())
    with _nothing_changes(shared):
        for cut in (3, 40, whole.index(b"\r\n\r\n") + 2, len(whole) - 20, len(whole) - 1):
            assert "ended" in _refusal(_spoken(shared, whole[:cut], half_closed=True), 400)


def test_a_client_that_has_asked_and_only_listens_is_answered(shared: Service) -> None:
    request = b"GET /v1/symbols HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = _spoken(shared, request * 2, half_closed=True)
    assert answer.count(b"HTTP/1.1 200") == 2


def test_what_follows_a_good_request_and_is_none_does_not_take_its_answer(shared: Service) -> None:
    answer = _spoken(shared, b"GET /v1/symbols HTTP/1.1\r\nHost: x\r\n\r\nrubbish\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_clients_that_send_nothing_do_not_keep_others_out(shared: Service) -> None:
    where = urlsplit(shared.address)
    silent = [socket.create_connection((where.hostname or "", where.port or 0)) for _ in range(200)]
    try:
        for n, one in enumerate(silent):
            one.sendall(b"GET / HT"[: n % 9])
        began = time.monotonic()
        shared.get("/v1/symbols")
        assert time.monotonic() - began < 10
    finally:
        for one in silent:
            one.close()
