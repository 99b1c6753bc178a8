"""Reading a query: text to a document (GraphQL, October 2021, section 2), executable definitions only.

Written here because a chain of calls in a Dagger program is a query as deep as the chain is long, and its indentation
grows with the square of that: graphql-core's reader gives up at 200 levels and takes longer than the steps. This one
keeps selections on a stack of its own, so depth costs nothing, and ends at limits of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.errors import EngineError

#: Levels of selections, levels of lists and objects in a value, and words of a query, that are read.
DEEPEST = 8_000
DEEPEST_VALUE = 64
MOST_WORDS = 4_000_000

_WORD = re.compile(
    r"""[\s,\ufeff]*+(?:\#[^\n\r]*+[\s,\ufeff]*+)*+
    (?:(?P<name>[_A-Za-z][_0-9A-Za-z]*+)
    |(?P<mark>\.\.\.|[!$&()\[\]{}:=@|])
    |(?P<block>\"\"\"(?:[^"\\]++|\\\"\"\"|\\|"(?!""))*+\"\"\")
    |(?P<text>"(?:[^"\\\n\r]++|\\[^\n\r])*+")
    |(?P<number>-?(?:0|[1-9][0-9]*+)(?P<rest>(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)(?![_.0-9A-Za-z]))
    |(?P<end>\Z))""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r'\\(?:u\{([0-9A-Fa-f]{1,8})\}|u([0-9A-Fa-f]{4})|(["\\/bfnrt])|(.|$))', re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class QueryProblem(EngineError):
    """A text that is no query of this API: what is wrong, and where (line and column from 1; 0: nowhere)."""

    code = "GRAPHQL_PARSE_FAILED"

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line, self.column = line, column

    def extensions(self) -> dict[str, Any]:
        return {"code": self.code}


@dataclass(frozen=True, slots=True)
class Variable:
    """A place in an argument where a variable's value goes."""

    name: str


@dataclass(slots=True)
class Field:
    """A field that is asked for; ``at`` is where it stands in the text."""

    name: str
    alias: str
    at: int
    arguments: dict[str, Any] = field(default_factory=dict)
    directives: tuple[tuple[str, dict[str, Any]], ...] = ()
    selections: list[Selection] | None = None


@dataclass(slots=True)
class Fragment:
    """Selections under a type condition, in place (no name) or to be looked up by name (no selections)."""

    name: str
    condition: str
    at: int
    directives: tuple[tuple[str, dict[str, Any]], ...] = ()
    selections: list[Selection] | None = None


Selection = Field | Fragment


@dataclass(slots=True)
class Operation:
    """An operation: query, mutation or subscription, and its variables with type and default."""

    kind: str
    name: str
    variables: dict[str, tuple[str, Any]]
    selections: list[Selection]


@dataclass(slots=True)
class Document:
    """What a query's text defines."""

    text: str
    operations: list[Operation]
    fragments: dict[str, Fragment]

    def place(self, at: int) -> tuple[int, int]:
        return place(self.text, at)


def place(text: str, at: int) -> tuple[int, int]:
    """``(line, column)`` of a position, both from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def joined(text: str) -> str:
    """A text with halves of characters (surrogates) joined, and those without their other half replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read(text: str) -> Document:
    """The document of a query's text.

    Raises:
        QueryProblem: it is not one, or larger than the limits of this module.
    """
    return _Reader(text).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._words = self._scan()
        self._next()

    def _scan(self) -> Iterator[tuple[str, str, int]]:
        at, count, match = 0, 0, _WORD.match
        while True:
            found = match(self._text, at)
            count += 1
            if found is None or count > MOST_WORDS:
                at = len(self._text) if found is None and not self._text[at:].strip() else at
                raise self._problem("cannot be read as GraphQL" if found is None else "is too long", at)
            kind = found.lastgroup or ""
            if kind == "rest":
                kind = "number"
            at = found.end()
            yield kind, found[kind], found.start(kind)
            while kind == "end":
                yield kind, "", at

    def _problem(self, what: str, at: int) -> QueryProblem:
        line, column = place(self._text, at)
        return QueryProblem(f"Syntax error in the query at line {line}, column {column}: it {what}", line, column)

    def _unexpected(self) -> QueryProblem:
        found = "ends too early" if self.kind == "end" else f"has {self.word[:40]!r} where that cannot stand"
        return self._problem(found, self.at)

    def _next(self) -> str:
        """Go on by one word; the word that was left."""
        word = getattr(self, "word", "")
        self.kind, self.word, self.at = next(self._words)
        return word

    def _is(self, mark: str) -> bool:
        return self.kind == "mark" and self.word == mark

    def _skip(self, mark: str) -> bool:
        if self._is(mark):
            self._next()
            return True
        return False

    def _need(self, mark: str) -> None:
        if not self._skip(mark):
            raise self._unexpected()

    def _name(self) -> str:
        if self.kind != "name":
            raise self._unexpected()
        return self._next()

    def document(self) -> Document:
        operations: list[Operation] = []
        fragments: dict[str, Fragment] = {}
        while self.kind != "end":
            if self._is("{"):
                operations.append(Operation("query", "", {}, self._selections()))
                continue
            at, word = self.at, self._name()
            if word == "fragment":
                name = self._name()
                if name == "on" or self._name() != "on":
                    raise self._unexpected()
                fragment = Fragment(name, self._name(), at, self._directives())
                fragment.selections = self._selections()
                fragments[name] = fragment
            elif word in ("query", "mutation", "subscription"):
                name = self._next() if self.kind == "name" else ""
                variables = self._variables()
                self._directives()
                operations.append(Operation(word, name, variables, self._selections()))
            else:
                raise self._problem(f"has {word[:40]!r} where a definition is expected", at)
        return Document(self._text, operations, fragments)

    def _variables(self) -> dict[str, tuple[str, Any]]:
        out: dict[str, tuple[str, Any]] = {}
        if self._skip("("):
            while not self._skip(")"):
                self._need("$")
                name = self._name()
                self._need(":")
                kind = self._type()
                out[name] = (kind, self._value() if self._skip("=") else None)
                self._directives()
        return out

    def _type(self) -> str:
        opened = 0
        while self._skip("["):
            opened += 1
        text = "[" * opened + self._name() + "!" * self._skip("!")
        for _ in range(opened):
            self._need("]")
            text += "]" + "!" * self._skip("!")
        return text

    def _directives(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        out = []
        while self._skip("@"):
            name = self._name()
            out.append((name, self._arguments()))
        return tuple(out)

    def _arguments(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if self._skip("("):
            while not self._skip(")"):
                at, name = self.at, self._name()
                self._need(":")
                if name in out:
                    raise self._problem(f"gives the argument {name!r} twice", at)
                out[name] = self._value()
        return out

    def _value(self, depth: int = 0) -> Any:
        if depth > DEEPEST_VALUE:
            raise self._problem(f"has a value nested deeper than {DEEPEST_VALUE} levels", self.at)
        kind, at, word = self.kind, self.at, self._next()
        match kind, word:
            case "mark", "$":
                return Variable(self._name())
            case "mark", "[":
                items = []
                while not self._skip("]"):
                    items.append(self._value(depth + 1))
                return items
            case "mark", "{":
                fields = {}
                while not self._skip("}"):
                    name = self._name()
                    self._need(":")
                    fields[name] = self._value(depth + 1)
                return fields
            case "text", _:
                return self._unescaped(word[1:-1], at)
            case "block", _:
                return _dedented(word[3:-3].replace('\\"""', '"""'))
            case "number", _:
                try:
                    return float(word) if any(c in word for c in ".eE") else int(word)
                except ValueError:
                    raise self._problem("has a number with too many digits", at) from None
            case "name", ("true" | "false" | "null"):
                return {"true": True, "false": False, "null": None}[word]
            case "name", _:
                return word
        raise self._problem("ends too early" if kind == "end" else f"has {word[:40]!r} where a value is expected", at)

    def _unescaped(self, body: str, at: int) -> str:
        if "\\" not in body:
            return body

        def one(found: re.Match[str]) -> str:
            code = found[1] or found[2]
            if code:
                number = int(code, 16)
                if number > 0x10FFFF:
                    raise self._problem("has an escape that is no character", at)
                return chr(number)
            if found[3]:
                return _ESCAPED.get(found[3], found[3])
            raise self._problem(f"has an unknown escape \\{found[4]}", at)

        return joined(_ESCAPE.sub(one, body))

    def _selections(self) -> list[Selection]:
        """A selection set, by a stack of the sets that are open."""
        self._need("{")
        top: list[Selection] = []
        open_sets = [top]
        while open_sets:
            here = open_sets[-1]
            if self._is("}"):
                if not here:
                    raise self._unexpected()
                self._next()
                open_sets.pop()
                continue
            made = self._selection()
            here.append(made)
            if self._skip("{"):
                if isinstance(made, Fragment) and made.name:
                    raise self._unexpected()
                if len(open_sets) == DEEPEST:
                    raise self._problem(f"is nested deeper than {DEEPEST} levels", self.at)
                made.selections = []
                open_sets.append(made.selections)
            elif isinstance(made, Fragment) and not made.name:
                raise self._unexpected()
        return top

    def _selection(self) -> Selection:
        at = self.at
        if self._skip("..."):
            name = condition = ""
            if self.kind == "name" and self.word != "on":
                name = self._next()
            elif self.kind == "name":
                self._next()
                condition = self._name()
            return Fragment(name, condition, at, self._directives())
        name, alias = self._name(), ""
        if self._skip(":"):
            alias, name = name, self._name()
        return Field(name, alias or name, at, self._arguments(), self._directives())


def _dedented(text: str) -> str:
    """A block string's value: common indentation and blank lines at both ends are left out (section 2.9.4)."""
    lines = re.split(r"\r\n|[\n\r]", text)
    indents = [len(line) - len(line.lstrip(" \t")) for line in lines[1:] if line.strip(" \t")]
    common = min(indents, default=0)
    lines = [lines[0], *(line[common:] for line in lines[1:])]
    while lines and not lines[0].strip(" \t"):
        lines.pop(0)
    while lines and not lines[-1].strip(" \t"):
        lines.pop()
    return "\n".join(lines)
