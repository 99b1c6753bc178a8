"""Executing a query: parsed by graphql-core, checked against the surface, resolved by ``engine.api``.

A whole query validator is not needed for chains of fields and costs more than the session itself; what it would catch
is caught here at the field that it concerns, with the field's name.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, Source, parse
from graphql.language import ast as g

from engine.errors import EngineError, Refused

DEEPEST = 900
_LARGEST_INT = 2**53


@dataclass(frozen=True, slots=True)
class Context:
    """What a resolver may use besides its object and arguments."""

    solver: Any
    objects: dict[str, tuple[str, Any]]
    version: str


Resolver = Callable[..., Any]


class Schema:
    """The surface, indexed."""

    def __init__(self, surface: dict[str, Any], resolvers: dict[str, dict[str, Resolver]]) -> None:
        self.surface = surface
        self.types = {t["name"]: t for t in surface["types"]}
        self.fields = {
            t["name"]: {f["name"]: f for f in t["fields"] or ()}
            for t in surface["types"]
            if t["kind"] in ("OBJECT", "INTERFACE")
        }
        self.resolvers = resolvers


def too_deep(text: str) -> bool:
    depth = deepest = 0
    quoted = False
    for char in text.replace("\\\\", "").replace('\\"', ""):
        if char == '"':
            quoted = not quoted
        elif not quoted and char in "{[(":
            depth += 1
            deepest = max(deepest, depth)
        elif not quoted and char in "}])":
            depth -= 1
    return deepest > DEEPEST


async def execute(schema: Schema, context: Context, body: dict[str, Any]) -> dict[str, Any]:
    """The response object of a request object (GraphQL over HTTP)."""
    text = body.get("query")
    if not isinstance(text, str):
        return {"errors": [{"message": "the request has no query"}]}
    if too_deep(text):
        return {"errors": [{"message": f"the query is nested deeper than {DEEPEST} levels"}]}
    try:
        document = parse(Source(text), no_location=False)
    except GraphQLError as error:
        return {"errors": [error.formatted]}
    except RecursionError:
        return {"errors": [{"message": "the query is nested too deep"}]}
    operations = [d for d in document.definitions if isinstance(d, g.OperationDefinitionNode)]
    wanted = body.get("operationName")
    chosen = [o for o in operations if not wanted or (o.name and o.name.value == wanted)]
    if len(chosen) != 1:
        return {"errors": [{"message": "the request must name one operation"}]}
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, g.FragmentDefinitionNode)}
    variables = body.get("variables") or {}
    run = _Run(schema, context, fragments, {**_defaults(chosen[0]), **variables})
    try:
        return {"data": await run.select("Query", None, chosen[0].selection_set, [])}
    except _Failed as failed:
        cause = failed.error
        extensions = cause.extensions() if isinstance(cause, EngineError) else {}
        return {
            "data": None,
            "errors": [
                {
                    "message": str(cause) or type(cause).__name__,
                    "path": failed.path,
                    "locations": failed.locations,
                    **({"extensions": extensions} if extensions else {}),
                }
            ],
        }


def _defaults(operation: g.OperationDefinitionNode) -> dict[str, Any]:
    return {
        v.variable.name.value: _literal(v.default_value, {})
        for v in operation.variable_definitions or ()
        if v.default_value is not None
    }


class _Failed(Exception):
    def __init__(self, error: Exception, path: list[Any], field: g.FieldNode) -> None:
        super().__init__(str(error))
        self.error, self.path = error, path
        location = field.loc
        self.locations = (
            [{"line": location.start_token.line, "column": location.start_token.column}] if location else []
        )


def _literal(node: Any, variables: dict[str, Any]) -> Any:
    match node:
        case g.VariableNode():
            return variables.get(node.name.value)
        case g.StringValueNode() | g.EnumValueNode() | g.BooleanValueNode():
            return node.value
        case g.IntValueNode():
            return int(node.value)
        case g.FloatValueNode():
            return float(node.value)
        case g.NullValueNode():
            return None
        case g.ListValueNode():
            return [_literal(v, variables) for v in node.values]
        case g.ObjectValueNode():
            return {f.name.value: _literal(f.value, variables) for f in node.fields}
    raise EngineError(f"unknown kind of value: {type(node).__name__}")


class _Run:
    def __init__(self, schema: Schema, context: Context, fragments: dict[str, Any], variables: dict[str, Any]) -> None:
        self.schema, self.context, self.fragments, self.variables = schema, context, fragments, variables

    def _flat(self, selections: Any, kind: str) -> list[g.FieldNode]:
        out: list[g.FieldNode] = []
        for node in selections.selections:
            if isinstance(node, g.FieldNode):
                out.append(node)
                continue
            fragment = node if isinstance(node, g.InlineFragmentNode) else self.fragments.get(node.name.value)
            if fragment is None:
                raise EngineError(f"unknown fragment {node.name.value!r}")
            condition = fragment.type_condition.name.value if fragment.type_condition else kind
            if condition in (kind, "Node"):
                out += self._flat(fragment.selection_set, kind)
        return out

    async def select(self, kind: str, value: Any, selections: Any, path: list[Any]) -> dict[str, Any]:
        fields = self._flat(selections, kind)

        async def one(field: g.FieldNode) -> Any:
            at = [*path, field.alias.value if field.alias else field.name.value]
            try:
                return await self.field(kind, value, field, at)
            except (_Failed, asyncio.CancelledError):
                raise
            except Exception as error:
                raise _Failed(error, at, field) from error

        answers = await asyncio.gather(*(one(field) for field in fields))
        return {(f.alias.value if f.alias else f.name.value): answer for f, answer in zip(fields, answers, strict=True)}

    async def field(self, kind: str, value: Any, field: g.FieldNode, path: list[Any]) -> Any:
        name = field.name.value
        if name == "__typename":
            return kind
        if kind == "Query" and name in ("__schema", "__type"):
            raise EngineError("an introspection must be an operation of its own")
        definition = self.schema.fields[kind].get(name)
        if definition is None:
            raise EngineError(f"Cannot query field {name!r} on type {kind!r}.")
        resolver = self.schema.resolvers.get(kind, {}).get(name)
        if resolver is None:
            raise Refused(f"{kind}.{name}")
        arguments = self._arguments(kind, definition, field)
        answer = resolver(self.context, value, **arguments)
        if inspect.isawaitable(answer):
            answer = await answer
        return await self._complete(definition["type"], answer, field, path)

    def _arguments(self, kind: str, definition: dict[str, Any], field: g.FieldNode) -> dict[str, Any]:
        known = {a["name"]: a for a in definition["args"]}
        given: dict[str, Any] = {}
        for node in field.arguments or ():
            name = node.name.value
            if name not in known:
                raise EngineError(f"Unknown argument {name!r} on field '{kind}.{field.name.value}'.")
            value = _literal(node.value, self.variables)
            given[name] = self._coerce(known[name]["type"], value, f"{kind}.{field.name.value}({name})")
        for name, argument in known.items():
            if argument["type"]["kind"] == "NON_NULL" and given.get(name) is None:
                raise EngineError(f"{kind}.{field.name.value}: argument {name!r} is required")
        return {name: value for name, value in given.items() if value is not None}

    def _coerce(self, reference: dict[str, Any], value: Any, where: str) -> Any:
        if value is None:
            if reference["kind"] == "NON_NULL":
                raise EngineError(f"{where}: null is not allowed")
            return None
        if reference["kind"] == "NON_NULL":
            return self._coerce(reference["ofType"], value, where)
        if reference["kind"] == "LIST":
            items = value if isinstance(value, list) else [value]
            return [self._coerce(reference["ofType"], item, where) for item in items]
        name = reference["name"]
        if reference["kind"] == "ENUM":
            values = {v["name"] for v in self.schema.types[name]["enumValues"]}
            if value not in values:
                raise EngineError(f"{where}: {value!r} is not one of {', '.join(sorted(values))}")
        elif reference["kind"] == "INPUT_OBJECT":
            if not isinstance(value, dict):
                raise EngineError(f"{where}: an object is needed")
        elif (
            (name == "Int" and (type(value) is not int or abs(value) > _LARGEST_INT))
            or (name == "Boolean" and not isinstance(value, bool))
            or (name in ("String", "ID") and not isinstance(value, str))
        ):
            raise EngineError(f"{where}: {value!r} is not of type {name}")
        return value

    async def _complete(self, reference: dict[str, Any], value: Any, field: g.FieldNode, path: list[Any]) -> Any:
        if reference["kind"] == "NON_NULL":
            reference = reference["ofType"]
        if value is None:
            return None
        if reference["kind"] == "LIST":
            answers: list[Awaitable[Any]] = [
                self._complete(reference["ofType"], item, field, [*path, n]) for n, item in enumerate(value)
            ]
            return list(await asyncio.gather(*answers))
        if reference["kind"] in ("OBJECT", "INTERFACE"):
            kind = reference["name"]
            if kind == "Node":
                kind, value = value
            if field.selection_set is None:
                raise EngineError(f"field {field.name.value!r} of type {kind!r} must have a selection of subfields")
            return await self.select(kind, value, field.selection_set, path)
        if field.selection_set is not None:
            raise EngineError(f"field {field.name.value!r} has no subfields")
        return value
