"""The API's objects as the engine holds them, and the ways to and from identifiers."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from engine.errors import EngineError
from engine.graph import SCRATCH, Container, Op
from engine.session.execute import Context


@dataclass(frozen=True)
class Directory:
    op: Op = SCRATCH
    name: str = "/"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"directory {self.op.digest} {self.name}".encode()).hexdigest()


@dataclass(frozen=True)
class File:
    op: Op
    name: str

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"file {self.op.digest} {self.name}".encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Record:
    """An object that is all plain values: a label, a variable, a port, a stat."""

    values: tuple[tuple[str, Any], ...]

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.values, default=lambda part: part.digest).encode()).hexdigest()

    def get(self, name: str) -> Any:
        return dict(self.values).get(name)


def named(name: str) -> str:
    """A file's name.

    Raises:
        EngineError: it is none, or one of a file in another folder.
    """
    if "/" in name or name in ("", ".", ".."):
        raise EngineError(f'file name "{name}" must not be empty or contain a directory')
    return name


def record(**values: Any) -> Record:
    return Record(tuple(values.items()))


def identify(context: Context, kind: str, value: Any) -> str:
    """The identifier of an object: opaque to clients, good for this session."""
    identifier = f"{kind}:{value.digest}"
    context.objects[identifier] = (kind, value)
    return identifier


def load(context: Context, identifier: str, kind: str | None = None) -> Any:
    """The object of an identifier.

    Raises:
        EngineError: it is none of this session, or of another kind.
    """
    found = context.objects.get(identifier)
    if found is None:
        raise EngineError(f"{identifier[:60]!r} is not the ID of an object of this session")
    if kind is not None and found[0] != kind:
        raise EngineError(f"{identifier[:60]!r} is the ID of a {found[0]}, not of a {kind}")
    return found[1]


def absolute(box: Container, path: str, expand: bool = False) -> str:
    """A path of a container as a step sees it, without ``.``, ``..`` and slashes too many."""
    return posixpath.normpath("/" + given(box, path, expand).lstrip("/"))


def given(box: Container, path: str, expand: bool = False) -> str:
    """A path of a container: as it was given where that starts at the root, else below the working directory."""
    if expand:
        path = expanded(box, path)
    return path if path.startswith("/") else posixpath.normpath(posixpath.join(box.workdir or "/", path))


#: What Go's ``os.Expand`` takes for a name: ``$NAME``, ``${NAME}``, and one character of the shell's own.
_NAME = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*|[*#$@!?\-0-9])|(\{))", re.ASCII)


def expanded(box: Container, text: str) -> str:
    """``$NAME`` and ``${NAME}`` replaced by the container's variables; unknown ones by nothing.

    Raises:
        EngineError: the name is that of a secret or of a volatile variable, whose values must not get into keys.
    """
    env = dict(box.env)

    def one(found: re.Match[str]) -> str:
        name = found[1] or found[2] or ""
        for kind, pairs in (("secret", box.secret_env), ("volatile", box.volatile)):
            if any(name == n for n, _ in pairs):
                raise EngineError(f'expand cannot be used with {kind} env variable "{name}"')
        return env.get(name, "")

    return _NAME.sub(one, text)


Resolver = TypeVar("Resolver", bound=Callable[..., Any])


def refusing(*arguments: str) -> Callable[[Resolver], Resolver]:
    """Marks a resolver with the arguments of its field that the engine refuses by name when they are given."""

    def mark(resolver: Resolver) -> Resolver:
        resolver.refuses = arguments  # type: ignore[attr-defined]
        return resolver

    return mark


def replace_pair(pairs: tuple[tuple[str, Any], ...], name: str, value: Any) -> tuple[tuple[str, Any], ...]:
    """Pairs with one more, or with another value in the place of the one of this name."""
    if any(n == name for n, _ in pairs):
        return tuple((n, value if n == name else v) for n, v in pairs)
    return (*pairs, (name, value))


def without_pair(pairs: tuple[tuple[str, Any], ...], name: str) -> tuple[tuple[str, Any], ...]:
    return tuple((n, v) for n, v in pairs if n != name)
