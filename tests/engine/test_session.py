"""The session's door: what is no query, no program of this machine, or too much is refused in one sentence."""

from __future__ import annotations

import base64
import http.client
import json
import random
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from engine import serve
from engine.api import RESOLVERS
from engine.api.coverage import rows
from engine.session.plan import Schema, accepted
from engine.session.reader import DEEPEST, QueryProblem, read
from engine.session.serve import Session
from engine.session.surface import installed


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with serve() as running:
            yield running


def ask(session: Session, body: bytes | dict[str, Any], method: str = "POST", **headers: str) -> tuple[int, str]:
    token = base64.b64encode(f"{session.token}:".encode()).decode()
    given = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", session.port, timeout=30)
    connection.request(method, "/query", body if isinstance(body, bytes) else json.dumps(body), given)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


VERSION = {"query": "{ version }"}


@pytest.mark.parametrize(
    ("body", "method", "headers", "status"),
    [
        (VERSION, "POST", {"Authorization": "Basic " + base64.b64encode(b"wrong:").decode()}, 401),
        (VERSION, "POST", {"Authorization": "Basic %%%"}, 401),
        (VERSION, "POST", {"Authorization": "Bearer x"}, 401),
        (VERSION, "POST", {"Host": "attacker.example"}, 403),
        (VERSION, "POST", {"Origin": "http://attacker.example"}, 403),
        (VERSION, "GET", {}, 405),
        (VERSION, "HEAD", {}, 405),
        (VERSION, "POST", {"Content_Type": "text/plain"}, 415),
        (b"{", "POST", {}, 400),
        (b"[]", "POST", {}, 400),
        (b"[" * 10_000, "POST", {}, 400),
        (b"\xff\xfe\x00", "POST", {}, 400),
        ({"query": 1}, "POST", {}, 422),
        ({"query": "{" * 10_000}, "POST", {}, 422),
        ({"query": "{ directory " * 10_000 + "}" * 10_000}, "POST", {}, 422),
        ({"query": "{ directory { entries(path: " + "[" * 10_000}, "POST", {}, 422),
        ({"query": "query($x: Int!) { version }", "variables": []}, "POST", {}, 422),
    ],
)
def test_what_is_no_request_of_a_program_of_this_machine_is_refused(
    session: Session, body: Any, method: str, headers: dict[str, str], status: int
) -> None:
    got, text = ask(session, body, method, **headers)
    assert got == status
    assert method == "HEAD" or json.loads(text)["errors"][0]["message"]
    assert ask(session, VERSION)[0] == 200


def test_fragments_that_multiply_are_cut_off(session: Session) -> None:
    bombs = "".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }} " for n in range(40))
    status, text = ask(session, {"query": "{ ...F0 } " + bombs + "fragment F40 on Query { version }"})
    assert status == 422 and "more than" in text


def test_a_huge_argument_is_taken(session: Session) -> None:
    query = 'query($c: String!) { directory { withNewFile(path: "f", contents: $c) { file(path: "f") { size } } } }'
    status, text = ask(session, {"query": query, "variables": {"c": "x" * 30_000_000}})
    assert (status, json.loads(text)["data"]["directory"]["withNewFile"]["file"]["size"]) == (200, 30_000_000)


def test_a_chain_of_five_thousand_calls_is_one_answer(session: Session) -> None:
    calls = "".join(f'withEnvVariable(name: "A{n % 9}", value: "{n}") {{ ' for n in range(5000))
    status, text = ask(session, {"query": "{ container { " + calls + 'envVariable(name: "A4") ' + "} " * 5002})
    assert status == 200 and '"envVariable":"4999"' in text


def test_the_reader_ends_with_a_document_or_its_own_error_whatever_the_text() -> None:
    from fuzz import queries

    queries(random.Random(4), 3000)


def test_the_reader_stops_at_its_depth() -> None:
    read("{a" * (DEEPEST - 1) + "}" * (DEEPEST - 1))
    with pytest.raises(QueryProblem, match="deeper"):
        read("{a" * (DEEPEST + 2) + "}" * (DEEPEST + 2))


def test_every_field_of_the_sdk_is_served_or_refused_and_no_argument_is_swallowed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    schema = Schema(installed(), RESOLVERS)
    table = list(rows(schema))
    for row in table:
        print(f"{row.type}.{row.field}: {'served' if row.served else 'refused'} {row.arguments} not {row.refused}")
    for kind, fields in schema.resolvers.items():
        assert set(fields) <= set(schema.fields[kind]) | {"id"}, kind
        for name, resolver in fields.items():
            known = set(schema.arguments.get((kind, name), ()))
            refused = set(getattr(resolver, "refuses", ()))
            assert accepted(resolver) | refused >= known, (
                f"{kind}.{name} leaves out {known - accepted(resolver) - refused}"
            )
            assert refused <= known
    assert sum(row.served for row in table) > 180


def test_a_refused_field_is_named_before_anything_runs(session: Session) -> None:
    status, text = ask(session, {"query": '{ a: version git(url: "x") { head { commit } } }'})
    (error,) = json.loads(text)["errors"]
    assert status == 200 and error["extensions"] == {"_type": "UNSUPPORTED", "field": "Query.git"}
    status, text = ask(
        session, {"query": '{ container { withExec(args: ["x"], insecureRootCapabilities: true) { stdout } } }'}
    )
    assert "Container.withExec(insecureRootCapabilities)" in text


def test_a_session_ends_at_once_though_a_download_is_under_way(tmp_path_factory: pytest.TempPathFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        with serve() as running:
            query = {"query": f'{{ http(url: "{url}") {{ size }} }}'}
            token = base64.b64encode(f"{running.token}:".encode()).decode()
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
            given = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
            connection.request("POST", "/query", json.dumps(query), given)
            assert silent.accept()
            began = time.monotonic()
        assert time.monotonic() - began < 20
        connection.close()
