"""The API's objects as the engine holds them, and the ways to and from identifiers."""

from __future__ import annotations

import hashlib
import json
import posixpath
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
        return hashlib.sha256(json.dumps(self.values).encode()).hexdigest()

    def get(self, name: str) -> Any:
        return dict(self.values).get(name)


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
    if expand:
        path = expanded(box, path)
    return posixpath.normpath("/" + posixpath.join(box.workdir or "/", path).lstrip("/"))


def expanded(box: Container, text: str) -> str:
    """``$NAME`` and ``${NAME}`` replaced by the container's variables; unknown ones by nothing."""
    import re

    env = dict(box.env)
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: env.get(m[1] or m[2], ""), text)
