"""Fields of ``Container`` that read and change the configuration of an image."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from engine.api.objects import Record, expanded, given, load, record, replace_pair, without_pair
from engine.errors import EngineError
from engine.graph import Container, Port
from engine.session.execute import Context

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"[-+]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")


def with_env_variable(ctx: Context, box: Container, name: str, value: str, expand: bool = False) -> Container:
    return box.change(env=replace_pair(box.env, name, expanded(box, value) if expand else value))


def with_secret_variable(ctx: Context, box: Container, name: str, secret: str) -> Container:
    return box.change(secret_env=replace_pair(box.secret_env, name, load(ctx, secret, "Secret")))


def with_service_binding(ctx: Context, box: Container, alias: str, service: str) -> Container:
    return box.change(services=replace_pair(box.services, alias, load(ctx, service, "Service")))


def with_default_args(ctx: Context, box: Container, args: list[str]) -> Container:
    return box.change(default_args=tuple(args), default_args_set=True)


def without_default_args(ctx: Context, box: Container) -> Container:
    return box.change(default_args=(), default_args_set=False)


def with_entrypoint(ctx: Context, box: Container, args: list[str], keepDefaultArgs: bool = False) -> Container:
    return box.change(entrypoint=tuple(args), **({} if keepDefaultArgs else {"default_args": ()}))


def without_entrypoint(ctx: Context, box: Container, keepDefaultArgs: bool = False) -> Container:
    return with_entrypoint(ctx, box, [], keepDefaultArgs)


def with_workdir(ctx: Context, box: Container, path: str, expand: bool = False) -> Container:
    return box.change(workdir=given(box, path, expand))


def with_exposed_port(
    ctx: Context,
    box: Container,
    port: int,
    protocol: str = "TCP",
    description: str | None = None,
    experimentalSkipHealthcheck: bool = False,
) -> Container:
    made = Port(port, protocol, description, experimentalSkipHealthcheck)
    ports = {(p.port, p.protocol): p for p in box.ports} | {(port, protocol): made}
    return box.change(ports=tuple(ports.values()))


def without_exposed_port(ctx: Context, box: Container, port: int, protocol: str = "TCP") -> Container:
    return box.change(ports=tuple(p for p in box.ports if (p.port, p.protocol) != (port, protocol)))


def port_record(port: Port) -> Record:
    return record(
        port=port.port,
        protocol=port.protocol,
        description=port.description,
        experimentalSkipHealthcheck=port.experimental_skip_healthcheck,
    )


def with_healthcheck(
    ctx: Context,
    box: Container,
    args: list[str],
    shell: bool = False,
    interval: str | None = None,
    timeout: str | None = None,
    startPeriod: str | None = None,
    startInterval: str | None = None,
    retries: int = 0,
) -> Container:
    if shell and len(args) != 1:
        raise EngineError("WithHealthcheck args must be a single element when shell mode is set")
    if not args:
        raise EngineError("WithHealthcheck args is missing")
    fields: dict[str, Any] = {"Test": ("CMD-SHELL" if shell else "CMD", *args)}
    times = {"Interval": interval, "Timeout": timeout, "StartPeriod": startPeriod, "StartInterval": startInterval}
    fields |= {name: nanoseconds(text) for name, text in times.items() if text is not None}
    fields["Retries"] = retries
    return box.change(healthcheck=tuple((name, value) for name, value in fields.items() if value))


def healthcheck(ctx: Context, box: Container) -> Record | None:
    fields = dict(box.healthcheck)
    test = fields.get("Test") or ("NONE",)
    if test[0] == "NONE":
        return None
    times = {
        n[0].lower() + n[1:]: duration(fields.get(n, 0))
        for n in ("Interval", "Timeout", "StartPeriod", "StartInterval")
    }
    return record(args=list(test[1:]), shell=test[0] == "CMD-SHELL", retries=fields.get("Retries", 0), **times)


def nanoseconds(text: str) -> int:
    """A duration as Go writes it (``1m30s``) in nanoseconds.

    Raises:
        EngineError: it is none.
    """
    if not _DURATION.fullmatch(text):
        raise EngineError(f'time: invalid duration "{text}": a duration such as 30s or 1m30s is needed')
    total = sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9.]+)(ns|us|µs|μs|ms|s|m|h)", text))
    return round(-total if text.startswith("-") else total)


def duration(nano: int) -> str:
    """Nanoseconds as Go's ``time.Duration`` shows them: ``1m30s``, ``1.5s``, ``250ms``, ``0s``."""
    if nano < 0:
        return "-" + duration(-nano)
    if nano < 10**9:
        unit, size = next(((u, n) for u, n in (("ms", 10**6), ("µs", 10**3), ("ns", 1)) if nano >= n), ("s", 1))
        return _number(nano, size) + unit
    minutes, rest = divmod(nano, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + _number(rest, 10**9) + "s"


def _number(nano: int, size: int) -> str:
    whole, rest = divmod(nano, size)
    return f"{whole}.{str(rest).rjust(len(str(size)) - 1, '0').rstrip('0')}" if rest else str(whole)


def _records(name: str) -> Any:
    return lambda ctx, box: [record(name=n, value=v) for n, v in getattr(box, name)]


def _looked_up(pairs: str) -> Any:
    return lambda ctx, box, name: dict(getattr(box, pairs)).get(name)


def _with(pairs: str) -> Any:
    return lambda ctx, box, name, value: box.change(**{pairs: replace_pair(getattr(box, pairs), name, value)})


def _without(pairs: str) -> Any:
    return lambda ctx, box, name: box.change(**{pairs: without_pair(getattr(box, pairs), name)})


def _unset(name: str, nothing: Any = "") -> Any:
    return lambda ctx, box: box.change(**{name: nothing})


def after_steps(read: Callable[..., Any]) -> Callable[..., Any]:
    """A field that is read of what a container's steps left, so that it fails where they do."""

    @wraps(read)
    async def field(ctx: Context, box: Container, **arguments: Any) -> Any:
        if box.last is not None:
            await ctx.solver.step(box.last)
        return read(ctx, box, **arguments)

    return field


_READ: dict[str, Callable[..., Any]] = {
    "defaultArgs": lambda ctx, box: list(box.default_args),
    "dockerHealthcheck": healthcheck,
    "entrypoint": lambda ctx, box: list(box.entrypoint),
    "envVariable": _looked_up("env"),
    "envVariables": _records("env"),
    "exposedPorts": lambda ctx, box: [port_record(p) for p in box.ports],
    "label": _looked_up("labels"),
    "labels": lambda ctx, box: [record(name=n, value=v) for n, v in sorted(box.labels)],
    "platform": lambda ctx, box: box.platform,
    "user": lambda ctx, box: box.user,
    "workdir": lambda ctx, box: box.workdir,
}
FIELDS: dict[str, Any] = {
    **{name: after_steps(read) for name, read in _READ.items()},
    "withAnnotation": _with("annotations"),
    "withDefaultArgs": with_default_args,
    "withDockerHealthcheck": with_healthcheck,
    "withEntrypoint": with_entrypoint,
    "withEnvVariable": with_env_variable,
    "withExposedPort": with_exposed_port,
    "withLabel": _with("labels"),
    "withSecretVariable": with_secret_variable,
    "withServiceBinding": with_service_binding,
    "withUser": lambda ctx, box, name: box.change(user=name),
    "withVolatileVariable": _with("volatile"),
    "withWorkdir": with_workdir,
    "withoutAnnotation": _without("annotations"),
    "withoutDefaultArgs": without_default_args,
    "withoutDockerHealthcheck": _unset("healthcheck", ()),
    "withoutEntrypoint": without_entrypoint,
    "withoutEnvVariable": _without("env"),
    "withoutExposedPort": without_exposed_port,
    "withoutLabel": _without("labels"),
    "withoutSecretVariable": _without("secret_env"),
    "withoutUser": _unset("user"),
    "withoutVolatileVariable": _without("volatile"),
    "withoutWorkdir": _unset("workdir"),
}
