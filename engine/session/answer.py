"""From the body of a request to the status and body of its answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from engine.errors import Refused
from engine.session.execute import Context, execute
from engine.session.plan import Schema, plan, request
from engine.session.reader import QueryProblem
from engine.session.surface import FORMAT, version


class Answers:
    """What a session answers."""

    def __init__(self, schema: Schema, context: Context) -> None:
        self._schema, self._context = schema, context

    async def respond(self, body: bytes) -> tuple[int, bytes]:
        """``(HTTP status, response)``. As Dagger's server does, a query that cannot be planned is a 422."""
        try:
            given = json.loads(body)
        except (ValueError, RecursionError) as error:
            return 400, problem(f"the request is not JSON: {error}")
        if not isinstance(given, dict):
            return 400, problem("the request is not a JSON object")
        try:
            asked = request(given)
            if asked.introspects:
                return 200, await asyncio.to_thread(self._introspect, given)
            return 200, (await execute(self._schema, self._context, plan(self._schema, asked))).encode()
        except QueryProblem as error:
            return 422, problem(str(error), error.extensions(), (error.line, error.column))
        except Refused as error:
            return 200, problem(str(error), error.extensions())

    def _introspect(self, given: dict[str, Any]) -> bytes:
        """The answer to an introspection, from the store when the same was asked before."""
        store = self._context.solver.store
        asked = [given["query"], given.get("variables"), given.get("operationName")]
        digest = hashlib.sha256(json.dumps([version(), FORMAT, *asked]).encode()).hexdigest()[:24]
        path = store.root / f"introspection-{digest}.json"
        if path.is_file():
            return bytes(path.read_bytes())
        from graphql import build_client_schema, graphql_sync

        schema = build_client_schema({"__schema": self._schema.surface})  # type: ignore[typeddict-item]
        found = graphql_sync(schema, asked[0], variable_values=asked[1], operation_name=asked[2])
        answer = json.dumps(found.formatted, separators=(",", ":")).encode()
        if not found.errors:
            staged = store.tmp / f"{digest}-{id(found)}"
            staged.write_bytes(answer)
            staged.replace(path)
        return answer


def problem(message: str, extensions: dict[str, Any] | None = None, place: tuple[int, int] = (0, 0)) -> bytes:
    """A response that is one error, with the place in the query that it is about."""
    error: dict[str, Any] = {"message": message}
    if any(place):
        error["locations"] = [{"line": place[0], "column": place[1]}]
    if extensions:
        error["extensions"] = extensions
    return json.dumps({"errors": [error], "data": None}).encode()
