"""From a query to a plan: every field looked up, every argument checked and converted, before anything runs.

The checks and their sentences are those of Dagger's server (gqlparser's rules, less those that Dagger leaves out), so
that a query that is wrong anywhere has no effect at all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.errors import Refused
from engine.session.reader import Document, Field, Fragment, Operation, QueryProblem, Selection, Variable, joined, read

Resolver = Callable[..., Any]
#: Fields of one query, fragments laid out: what a small text can grow to by fragments of fragments.
MOST_FIELDS = 200_000
_LARGEST_INT = 2**63


class Invalid(QueryProblem):
    """A query that the API's shape does not allow."""

    code = "GRAPHQL_VALIDATION_FAILED"


class Schema:
    """The surface, indexed, and what serves it."""

    def __init__(self, surface: dict[str, Any], resolvers: dict[str, dict[str, Resolver]]) -> None:
        self.surface = surface
        self.types = {t["name"]: t for t in surface["types"]}
        self.fields = {
            t["name"]: {f["name"]: f for f in t["fields"] or ()}
            for t in surface["types"]
            if t["kind"] in ("OBJECT", "INTERFACE")
        }
        self.arguments = {
            (kind, name): {a["name"]: a for a in f["args"]}
            for kind, fields in self.fields.items()
            for name, f in fields.items()
        }
        self.resolvers = resolvers

    def is_interface(self, kind: str) -> bool:
        return kind in self.types and self.types[kind]["kind"] == "INTERFACE"

    def resolver(self, kind: str, name: str, arguments: dict[str, Any]) -> Resolver:
        """What serves a field.

        Raises:
            Refused: nothing does, or not with these arguments.
        """
        resolver = self.resolvers.get(kind, {}).get(name)
        if resolver is None:
            raise Refused(f"{kind}.{name}")
        for argument in getattr(resolver, "refuses", ()):
            if arguments.get(argument):
                raise Refused(f"{kind}.{name}({argument})")
        return resolver


@dataclass(slots=True)
class Planned:
    """A field to resolve: on which type, under which key, with which arguments, and what is asked of its answer."""

    kind: str
    name: str
    key: str
    reference: dict[str, Any]
    at: int
    arguments: dict[str, Any] = field(default_factory=dict)
    resolver: Resolver | None = None
    only: tuple[str, ...] = ()
    below: Fields | None = None


#: Planned fields by key and by the types that they are only for.
Fields = dict[tuple[str, tuple[str, ...]], Planned]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a query asks of the root, and its document, which errors are placed in."""

    document: Document
    fields: Fields


@dataclass(frozen=True, slots=True)
class Request:
    """A request object (GraphQL over HTTP), read."""

    document: Document
    operation: Operation
    variables: dict[str, Any]

    @property
    def introspects(self) -> bool:
        """Whether it asks for the shape of the API."""
        return any(isinstance(s, Field) and s.name in ("__schema", "__type") for s in self.operation.selections)


def request(body: dict[str, Any]) -> Request:
    """The request of a JSON object.

    Raises:
        QueryProblem: the query is no GraphQL, or no operation is named that is in it.
    """
    text, name, variables = body.get("query"), body.get("operationName"), body.get("variables")
    if not isinstance(text, str):
        raise Invalid("the request has no query")
    if not isinstance(variables, dict | None) or not isinstance(name, str | None):
        raise Invalid("variables must be an object and operationName a text")
    document = read(joined(text))
    operation = _chosen(document, name or "")
    return Request(document, operation, _values(operation, variables or {}))


def plan(schema: Schema, asked: Request) -> Plan:
    """What has to be resolved for a request.

    Raises:
        Invalid: it does not fit the API.
        Refused: it asks for what this engine does not serve.
    """
    return Plan(asked.document, _Planner(schema, asked.document, asked.variables).plan(asked.operation))


def _chosen(document: Document, name: str) -> Operation:
    found = [o for o in document.operations if not name or o.name == name]
    if not found:
        raise Invalid(f"operation {name} not found" if name else "no operation provided")
    if len(found) > 1:
        raise Invalid("the query has several operations: operationName must name one")
    if found[0].kind != "query":
        raise Invalid(f'Schema does not support operation type "{found[0].kind}"')
    return found[0]


def _values(operation: Operation, given: dict[str, Any]) -> dict[str, Any]:
    out = {}
    for name, (kind, default) in operation.variables.items():
        if name in given:
            out[name] = given[name]
        elif default is not None:
            out[name] = default
        elif kind.endswith("!"):
            raise Invalid(f"variable ${name} of type {kind} must be given")
        else:
            out[name] = None
    return out


class _Planner:
    def __init__(self, schema: Schema, document: Document, variables: dict[str, Any]) -> None:
        self.schema, self.document, self.variables = schema, document, variables
        self.count = 0

    def plan(self, operation: Operation) -> Fields:
        """A work list, not recursion: a chain of calls is as deep as it is long."""
        top: Fields = {}
        todo = [("Query", operation.selections, top)]
        while todo:
            kind, selections, out = todo.pop()
            for node, on, only in self._flat(selections, kind, (), ()):
                made = self._field(on, node, only)
                kept = out.setdefault((made.key, only), made)
                if (kept.name, kept.arguments) != (made.name, made.arguments):
                    raise self._invalid(
                        f'Fields "{made.key}" conflict because they differ. '
                        "Use different aliases on the fields to fetch both if this was intentional.",
                        node.at,
                    )
                if node.selections is not None:
                    kept.below = {} if kept.below is None else kept.below
                    todo.append((_named(kept.reference), node.selections, kept.below))
        return top

    def _invalid(self, message: str, at: int) -> Invalid:
        return Invalid(message, *self.document.place(at))

    def _flat(
        self, selections: list[Selection], kind: str, only: tuple[str, ...], inside: tuple[str, ...]
    ) -> list[tuple[Field, str, tuple[str, ...]]]:
        """The fields of a selection set, fragments laid out: ``(field, type it is of, types it is only for)``."""
        out: list[tuple[Field, str, tuple[str, ...]]] = []
        for node in selections:
            if not self._included(node):
                continue
            if isinstance(node, Field):
                self.count += 1
                if self.count > MOST_FIELDS:
                    raise self._invalid(f"the query has more than {MOST_FIELDS} fields", node.at)
                out.append((node, kind, only))
                continue
            fragment = node
            if node.name:
                if node.name not in self.document.fragments:
                    raise self._invalid(f'Unknown fragment "{node.name}".', node.at)
                if node.name in inside:
                    raise self._invalid(f'Cannot spread fragment "{node.name}" within itself.', node.at)
                fragment = self.document.fragments[node.name]
            condition = fragment.condition or kind
            if condition not in self.schema.fields:
                raise self._invalid(f'Unknown type "{condition}".', node.at)
            narrowed = condition if self.schema.is_interface(kind) else kind
            if condition != kind and not self.schema.is_interface(condition) and not self.schema.is_interface(kind):
                raise self._invalid(
                    f'Fragment cannot be spread here as objects of type "{kind}" can never be of type "{condition}".',
                    node.at,
                )
            limits = (*only, condition) if condition != kind and not self.schema.is_interface(condition) else only
            out += self._flat(
                fragment.selections or [], narrowed, limits, (*inside, *([node.name] if node.name else []))
            )
        return out

    def _included(self, node: Field | Fragment) -> bool:
        included = True
        for name, arguments in node.directives:
            if name not in ("include", "skip"):
                raise self._invalid(f'Unknown directive "@{name}".', node.at)
            given = self._filled(arguments.get("if"))
            if not isinstance(given, bool):
                raise self._invalid(
                    f'Directive "@{name}" argument "if" of type "Boolean!" is required, but it was not provided.',
                    node.at,
                )
            included = included and given == (name == "include")
        return included

    def _filled(self, value: Any) -> Any:
        """A value with variables replaced by theirs."""
        match value:
            case Variable(name):
                if name not in self.variables:
                    raise Invalid(f'Variable "${name}" is not defined.')
                return self.variables[name]
            case list():
                return [self._filled(v) for v in value]
            case dict():
                return {k: self._filled(v) for k, v in value.items()}
        return value

    def _field(self, kind: str, node: Field, only: tuple[str, ...]) -> Planned:
        if node.name == "__typename":
            return Planned(kind, node.name, node.alias, {"kind": "SCALAR", "name": "String"}, node.at, only=only)
        definition = self.schema.fields[kind].get(node.name)
        if definition is None:
            raise self._invalid(f'Cannot query field "{node.name}" on type "{kind}".', node.at)
        reference = definition["type"]
        composite = _named(reference) in self.schema.fields
        if composite and node.selections is None:
            raise self._invalid(
                f'Field "{node.name}" of type "{_shown(reference)}" must have a selection of subfields.', node.at
            )
        if node.selections is not None and not composite:
            raise self._invalid(
                f'Field "{node.name}" must not have a selection since type "{_shown(reference)}" has no subfields.',
                node.at,
            )
        arguments = self._arguments(kind, node)
        resolver = None if self.schema.is_interface(kind) else self.schema.resolver(kind, node.name, arguments)
        # What is refused when it is asked for may still be sent with the value of not asking for it.
        arguments = {n: v for n, v in arguments.items() if n not in getattr(resolver, "refuses", ())}
        return Planned(kind, node.name, node.alias, reference, node.at, arguments, resolver, only)

    def _arguments(self, kind: str, node: Field) -> dict[str, Any]:
        known = self.schema.arguments[kind, node.name]
        given: dict[str, Any] = {}
        for name, value in node.arguments.items():
            if name not in known:
                raise self._invalid(f'Unknown argument "{name}" on field "{kind}.{node.name}".', node.at)
            try:
                given[name] = self._converted(known[name]["type"], self._filled(value))
            except ValueError as error:
                raise self._invalid(f"{kind}.{node.name}({name}): {error}", node.at) from None
        for name, argument in known.items():
            if argument["type"]["kind"] == "NON_NULL" and given.get(name) is None:
                raise self._invalid(
                    f'Field "{node.name}" argument "{name}" of type "{_shown(argument["type"])}" is required, '
                    "but it was not provided.",
                    node.at,
                )
        return {name: value for name, value in given.items() if value is not None}

    def _converted(self, reference: dict[str, Any], value: Any) -> Any:
        """A value as a type has it, as leniently as Dagger reads it.

        Raises:
            ValueError: it cannot be.
        """
        if reference["kind"] == "NON_NULL":
            if value is None:
                raise ValueError("null is not allowed")
            return self._converted(reference["ofType"], value)
        if value is None:
            return None
        if reference["kind"] == "LIST":
            items = value if isinstance(value, list) else [value]
            return [self._converted(reference["ofType"], item) for item in items]
        name = reference["name"]
        if reference["kind"] == "ENUM":
            names = [v["name"] for v in self.schema.types[name]["enumValues"]]
            if value not in names:
                raise ValueError(f"{value!r} is not one of {', '.join(names)}")
            return value
        if reference["kind"] == "INPUT_OBJECT":
            return self._object(self.schema.types[name], value)
        if name == "Int":
            return _whole(value)
        if name == "Boolean":
            if isinstance(value, str) and value in ("true", "false"):
                return value == "true"
            if not isinstance(value, bool):
                raise ValueError(f"cannot create Boolean from {value!r}")
        elif name == "Float":
            return float(value)
        elif not isinstance(value, str):
            raise ValueError(f"cannot create {name} from {value!r}")
        else:
            return joined(value)
        return value

    def _object(self, definition: dict[str, Any], value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"an object of type {definition['name']} is needed")
        known = {f["name"]: f["type"] for f in definition["inputFields"]}
        for name in value:
            if name not in known:
                raise ValueError(f'Field "{name}" is not defined by type "{definition["name"]}".')
        return {name: self._converted(kind, value.get(name)) for name, kind in known.items()}


def _whole(value: Any) -> int:
    if isinstance(value, str):
        value = int(value, 0)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not -_LARGEST_INT <= value < _LARGEST_INT:
        raise ValueError(f"cannot create Int from {value!r}")
    return value


def _named(reference: dict[str, Any]) -> str:
    while reference.get("ofType"):
        reference = reference["ofType"]
    return str(reference["name"])


def _shown(reference: dict[str, Any]) -> str:
    match reference["kind"]:
        case "NON_NULL":
            return _shown(reference["ofType"]) + "!"
        case "LIST":
            return f"[{_shown(reference['ofType'])}]"
    return str(reference["name"])


def accepted(resolver: Resolver) -> set[str]:
    """The names of arguments that a resolver does something with."""
    parameters = list(inspect.signature(resolver).parameters.values())[2:]
    return {p.name for p in parameters} - set(getattr(resolver, "refuses", ()))
