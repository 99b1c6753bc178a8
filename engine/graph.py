"""Frozen operations. What a client builds is a graph of these; nothing runs until an answer asks for it.

The digest of an operation names it within a session. The key under which a result is remembered is another thing: it
is made from the content of what goes in, when that is known (``engine.solve``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Op:
    """A tree or a file to be: a verb, its plain arguments, and the operations that it is made from."""

    verb: str
    args: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Op, ...] = ()
    #: Worked out at once from the digests of the inputs: later it would recurse through the whole graph.
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _digest([self.verb, self.args, [op.digest for op in self.inputs]]))

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Op) and other.digest == self.digest


def _digest(parts: list[Any]) -> str:
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _of_fields(value: Mount | Container | Exec | Service) -> str:
    return _digest([type(value).__name__, *(getattr(value, each.name) for each in fields(value))])


def _plain(value: object) -> object:
    if isinstance(value, Container | Exec | Service | Secret | Op | Mount | CacheVolume):
        return value.digest
    if isinstance(value, Port):
        return [value.port, value.protocol, value.description, value.experimental_skip_healthcheck]
    raise TypeError(f"not a plain value: {value!r}")


SCRATCH = Op("scratch")


@dataclass(frozen=True)
class Secret:
    """A secret's name and where its value comes from; the value itself stays with the session."""

    name: str
    uri: str
    cache_key: str

    @cached_property
    def digest(self) -> str:
        return _digest(["secret", self.name, self.uri, self.cache_key])


@dataclass(frozen=True)
class CacheVolume:
    """A folder that outlives steps, by its key."""

    key: str
    source: Op | None = None
    owner: str = ""
    sharing: str = "SHARED"

    @cached_property
    def digest(self) -> str:
        source = self.source.digest if self.source else None
        return _digest(["cache", self.key, source, self.owner, self.sharing])

    @property
    def identity(self) -> str:
        """What tells it from others: for Dagger, one of a key with another source, owner or sharing is another volume."""
        plain = self.source is None and not self.owner and self.sharing == "SHARED"
        return self.key if plain else f"{self.key} ({self.digest[:12]})"


@dataclass(frozen=True)
class Mount:
    """Something at a path of a step: kind is directory, file, cache, temp, secret or socket."""

    at: str
    kind: str
    op: Op | None = None
    volume: CacheVolume | None = None
    secret: Secret | None = None
    owner: str = ""
    mode: int = 0o400
    size: int | None = None
    read_only: bool = False
    sharing: str = "SHARED"

    def change(self, **changes: Any) -> Mount:
        return replace(self, **changes)

    @cached_property
    def digest(self) -> str:
        return _of_fields(self)


@dataclass(frozen=True)
class Port:
    port: int
    protocol: str = "TCP"
    description: str | None = None
    experimental_skip_healthcheck: bool = False


@dataclass(frozen=True)
class Container:
    """A root, what a step sees besides, and the configuration of an image."""

    platform: str
    root: Op = SCRATCH
    mounts: tuple[Mount, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    volatile: tuple[tuple[str, str], ...] = ()
    secret_env: tuple[tuple[str, Secret], ...] = ()
    services: tuple[tuple[str, Service], ...] = ()
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    default_args: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    ports: tuple[Port, ...] = ()
    healthcheck: tuple[tuple[str, Any], ...] = ()
    image_config: str = ""
    #: The registry's reference that it was pulled by, as long as nothing in its files has changed.
    image_ref: str = ""
    #: Whether the default arguments were set on purpose; a service then leaves the entrypoint out.
    default_args_set: bool = False
    last: Exec | None = None

    def change(self, **changes: Any) -> Container:
        return replace(self, **changes)

    @cached_property
    def digest(self) -> str:
        return _of_fields(self)


@dataclass(frozen=True)
class Exec:
    """A step: a container as it was, and a command in it."""

    container: Container
    args: tuple[str, ...]
    stdin: str = ""
    redirect_stdin: str = ""
    redirect_stdout: str = ""
    redirect_stderr: str = ""
    expect: str = "SUCCESS"
    no_init: bool = False

    @cached_property
    def digest(self) -> str:
        return _of_fields(self)


@dataclass(frozen=True)
class Service:
    """A container's command that runs beside steps, or a way to the host (``kind`` container, tunnel or host)."""

    kind: str
    container: Container | None = None
    args: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    upstream: Service | None = None
    forwards: tuple[tuple[int | None, int, str], ...] = ()
    host: str = ""
    hostname: str = ""

    @cached_property
    def digest(self) -> str:
        return _of_fields(self)
