"""The session itself: raw queries, identifiers, errors with their extensions."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from typing import Any

import anyio
from compare import Bench


def _post(body: Any) -> list[Any]:
    url = f"http://127.0.0.1:{os.environ['DAGGER_SESSION_PORT']}/query"
    token = base64.b64encode(f"{os.environ['DAGGER_SESSION_TOKEN']}:".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [answer.status, json.loads(answer.read())]
    except urllib.error.HTTPError as error:
        return [error.code, json.loads(error.read() or b"null")]


async def _asked(query: str, **more: Any) -> list[Any]:
    """The status, and the data or how many errors there are of which kind."""
    status, answer = await anyio.to_thread.run_sync(_post, {"query": query, **more})
    if answer.get("errors"):
        first = answer["errors"][0]
        return [status, answer.get("data"), (first.get("extensions") or {}).get("code")]
    return [status, answer["data"]]


async def aliases_variables_fragments(bench: Bench) -> Any:
    variables = {"p": "f", "c": "text"}
    file = "directory { withNewFile(path: $p, contents: $c) { file(path: $p) "
    return [
        await _asked("{ a: defaultPlatform b: defaultPlatform }"),
        await _asked(f"query Q($p: String!, $c: String!) {{ {file} {{ contents size }} }} }} }}", variables=variables),
        await _asked(f'query Q($p: String!, $c: String = "d") {{ {file} {{ contents }} }} }} }}', variables={"p": "f"}),
        await _asked('{ directory { ...F } } fragment F on Directory { entries exists(path: "x") }'),
        await _asked("{ directory { ... on Directory { entries } __typename } }"),
        await _asked("query A { defaultPlatform } query B { directory { entries } }", operationName="B"),
        await _asked(
            '{ directory { withNewFile(path: "f", contents: """\n  block\n   text\n""") { file(path: "f") { contents } } } }'
        ),
        await _asked(
            '{ directory { withNewFile(path: "f", contents: "\\u00e9\\t") { file(path: "f") { contents } } } }'
        ),
        await _asked('{ container { withEnvVariable(name: "A", value: "1") { envVariables { name value } } } }'),
    ]


async def wrong_queries(bench: Bench) -> Any:
    return [
        await _asked("{ nothing }"),
        await _asked("{ directory { nothing } }"),
        await _asked("{ directory { entries(nothing: 1) } }"),
        await _asked('{ directory { withNewFile(path: "x") { entries } } }'),
        await _asked("{ defaultPlatform { x } }"),
        await _asked("{ "),
        await _asked(""),
        await _asked("query Q($x: String!) { directory { entries(path: $x) } }"),
        await _asked("{ directory { ...F } }"),
        await _asked("{ directory { ...F } } fragment F on Directory { ...F }"),
        await _asked("mutation { x }"),
        await _asked("{ a: defaultPlatform a: version }"),
    ]


async def errors_have_paths(bench: Bench) -> Any:
    _, answer = await anyio.to_thread.run_sync(_post, {"query": '{ directory { x: file(path: "none") { contents } } }'})
    error = answer["errors"][0]
    return ["none" in error["message"], answer.get("data"), [p for p in error.get("path", []) if isinstance(p, str)]]


async def identifiers(bench: Bench) -> Any:
    _, answer = await anyio.to_thread.run_sync(
        _post, {"query": '{ directory { withNewFile(path: "f", contents: "x") { id } } }'}
    )
    known = answer["data"]["directory"]["withNewFile"]["id"]
    return [
        await _asked(
            "query Q($i: ID!) { node(id: $i) { __typename ... on Directory { entries } } }", variables={"i": known}
        ),
        await _asked("query Q($i: DirectoryID!) { loadDirectoryFromID(id: $i) { entries } }", variables={"i": known}),
        (await _asked("query Q($i: FileID!) { loadFileFromID(id: $i) { contents } }", variables={"i": known}))[:2],
        (await _asked('{ loadDirectoryFromID(id: "rubbish") { entries } }'))[:2],
    ]


async def long_chains(bench: Bench) -> Any:
    count = 60
    calls = "".join(f'withNewFile(path: "f{n}", contents: "") {{ ' for n in range(count))
    status, answer = await anyio.to_thread.run_sync(
        _post, {"query": "{ directory { " + calls + "name " + "} " * (count + 2)}
    )
    return [status, "errors" in answer]
