"""Carrying out a plan: resolvers called, siblings at once, the answer written as JSON text as it comes.

A chain of calls is followed in a loop, so that its length is no depth of coroutines, of tasks or of nested objects.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import dataclass
from typing import Any

from engine.errors import EngineError
from engine.index import Missing
from engine.session.plan import Fields, Plan, Planned, Schema

#: How often a field is worked out anew because the store lost something on the way.
_TRIES = 4
#: A path of an answer, the last part first: ``(part, rest)``.
Path = tuple[Any, "Path"] | None


@dataclass(frozen=True, slots=True)
class Context:
    """What a resolver may use besides its object and arguments."""

    solver: Any
    objects: dict[str, tuple[str, Any]]
    version: str


class _Failed(Exception):
    """Fields that failed: ``(error, path, place in the text)`` of each."""

    def __init__(self, problems: list[tuple[Exception, Path, int]]) -> None:
        super().__init__(str(problems[0][0]))
        self.problems = problems


async def execute(schema: Schema, context: Context, plan: Plan) -> str:
    """The response of a plan, as JSON text. Where fields fail there is no data, and an error for each."""
    try:
        return f'{{"data":{await _Run(schema, context).select(plan.fields, "Query", None, None)}}}'
    except _Failed as failed:
        errors = [problem(error, plan, path, at) for error, path, at in failed.problems]
        return json.dumps({"errors": errors, "data": None})


def problem(error: Exception, plan: Plan, path: Path, at: int) -> dict[str, Any]:
    """An entry of ``errors`` of a response."""
    parts = []
    while path is not None:
        parts.append(path[0])
        path = path[1]
    line, column = plan.document.place(at)
    extensions = error.extensions() if isinstance(error, EngineError) else {}
    return {
        "message": str(error) or type(error).__name__,
        "path": parts[::-1],
        "locations": [{"line": line, "column": column}],
        **({"extensions": extensions} if extensions else {}),
    }


class _Run:
    def __init__(self, schema: Schema, context: Context) -> None:
        self.schema, self.context = schema, context

    async def select(self, fields: Fields, kind: str, value: Any, path: Path) -> str:
        before: list[str] = []
        while True:
            wanted = [f for (_, only), f in fields.items() if all(kind == name for name in only)]
            if len(wanted) != 1:
                answers = await self._all([self._one(f, kind, value, (f.key, path)) for f in wanted])
                text = "{" + ",".join(f"{json.dumps(f.key)}:{a}" for f, a in zip(wanted, answers, strict=True)) + "}"
                break
            field = wanted[0]
            path = (field.key, path)
            before.append(f"{{{json.dumps(field.key)}:")
            answer = await self._resolved(field, kind, value, path)
            below = self._below(field, answer)
            if below is None:
                text = await self._completed(field, answer, path)
                break
            fields, (kind, value) = below
        return "".join(before) + text + "}" * len(before)

    def _below(self, field: Planned, answer: Any) -> tuple[Fields, tuple[str, Any]] | None:
        """What is asked of a single object, and the object."""
        if field.below is None or answer is None or isinstance(answer, list):
            return None
        return field.below, self._typed(field.reference, answer)

    def _typed(self, reference: dict[str, Any], value: Any) -> tuple[str, Any]:
        while reference["kind"] in ("NON_NULL", "LIST"):
            reference = reference["ofType"]
        return value if reference["kind"] == "INTERFACE" else (reference["name"], value)

    async def _all(self, works: list[Any]) -> list[str]:
        """All answers, worked out at once; all failures together where there are any."""
        answers = await asyncio.gather(*works, return_exceptions=True)
        problems: list[tuple[Exception, Path, int]] = []
        for answer in answers:
            if isinstance(answer, _Failed):
                problems += answer.problems
            elif isinstance(answer, BaseException):
                raise answer
        if problems:
            raise _Failed(problems)
        return [str(a) for a in answers]

    async def _one(self, field: Planned, kind: str, value: Any, path: Path) -> str:
        return await self._completed(field, await self._resolved(field, kind, value, path), path)

    async def _resolved(self, field: Planned, kind: str, value: Any, path: Path) -> Any:
        if field.name == "__typename":
            return kind
        try:
            resolver = field.resolver or self.schema.resolver(kind, field.name, field.arguments)
            for attempt in range(_TRIES):
                try:
                    answer = resolver(self.context, value, **field.arguments)
                    return await answer if inspect.isawaitable(answer) else answer
                except Missing:
                    # The store has dropped what it found damaged: worked out anew, it is made anew.
                    if attempt == _TRIES - 1:
                        raise
                    self.context.solver.start_over()
            raise AssertionError
        except asyncio.CancelledError:
            raise
        except Exception as error:
            shown = self.context.solver.store.explained(error) if isinstance(error, OSError) else error
            raise _Failed([(shown, path, field.at)]) from error

    async def _completed(self, field: Planned, answer: Any, path: Path) -> str:
        if answer is None or field.below is None:
            return json.dumps(answer)
        if isinstance(answer, list):
            fields, typed = field.below, [self._typed(field.reference, item) for item in answer]
            items = [self.select(fields, kind, item, (n, path)) for n, (kind, item) in enumerate(typed)]
            return "[" + ",".join(await self._all(items)) + "]"
        kind, value = self._typed(field.reference, answer)
        return await self.select(field.below, kind, value, path)
