"""Fields of ``Query``, ``Host``, ``Secret``, ``Service`` and the small records."""

from __future__ import annotations

import itertools
import os
import platform as machine
import posixpath
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine import services
from engine.api.configuration import port_record
from engine.api.objects import Directory, File, Record, identify, load, named, refusing
from engine.errors import EngineError
from engine.graph import CacheVolume, Container, Op, Secret, Service
from engine.session.execute import Context

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7"}
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386"}
_SYSTEMS = ("darwin", "freebsd", "linux", "windows")
_KNOWN = ("386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x")
_NONCE = itertools.count(1)


def default_platform(ctx: Context, _: object = None) -> str:
    return f"linux/{_ARCHITECTURES.get(machine.machine(), machine.machine())}"


def container(ctx: Context, _: object, platform: str | None = None) -> Container:
    return Container(default_platform(ctx) if platform is None else _platform(ctx, platform))


def _platform(ctx: Context, text: str) -> str:
    """A platform as containerd's ``platforms.Parse`` understands it: an operating system, an architecture, or both."""
    system, architecture = default_platform(ctx).split("/")
    parts = [_ALIASES.get(part, part) for part in text.lower().split("/")]
    if len(parts) == 1 and parts[0] in _SYSTEMS:
        return f"{parts[0]}/{architecture}"
    if len(parts) == 1 and parts[0] in _KNOWN:
        return f"{system}/{parts[0]}"
    if len(parts) not in (2, 3) or not all(parts):
        raise EngineError(f"{text!r} is not a platform: linux/amd64 and linux/arm/v7 are some")
    return "/".join(parts)


@refusing("authHeader", "experimentalServiceHost")
def http(ctx: Context, _: object, url: str, name: str = "", permissions: int = 0o600, checksum: str = "") -> File:
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise EngineError(f'invalid checksum "{checksum}": sha256:… with 64 hexadecimal digits is needed')
    file_name = name or posixpath.basename(urlsplit(url).path) or "index"
    arguments = {"url": url, "checksum": checksum, "mode": permissions, "nonce": 0}
    return File(Op("http", arguments), file_name)


def new_file(ctx: Context, _: object, name: str, contents: str, permissions: int = 0o644) -> File:
    return File(Op("bytes", {"data": contents, "mode": permissions & 0o777}), named(name))


def secret(ctx: Context, _: object, uri: str, cacheKey: str = "") -> Secret:
    made = Secret(uri, uri, cacheKey)
    return made


def node(ctx: Context, _: object, id: str) -> tuple[str, Any]:
    value = load(ctx, id)
    return ctx.objects[id][0], value


def _host_path(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def host_directory(
    ctx: Context,
    _: object,
    path: str,
    exclude: list[str] | None = None,
    include: list[str] | None = None,
    noCache: bool = False,
    gitignore: bool = False,
) -> Directory:
    arguments = {
        "path": _host_path(path),
        "include": include or [],
        "exclude": exclude or [],
        "use_gitignore": gitignore,
        "nonce": next(_NONCE) if noCache else 0,
    }
    return Directory(Op("host_directory", arguments), "/")


def host_file(ctx: Context, _: object, path: str, noCache: bool = False) -> File:
    arguments = {"path": _host_path(path), "nonce": next(_NONCE) if noCache else 0}
    return File(Op("host_file", arguments), posixpath.basename(path))


def host_find_up(ctx: Context, _: object, name: str, noCache: bool = False) -> str | None:
    """Looked up at each call, so that ``noCache`` asks for what is done anyway."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / name).exists():
            return os.path.relpath(folder / name, here)
    return None


def tunnel(
    ctx: Context, _: object, service: str, native: bool = False, ports: list[dict[str, Any]] | None = None
) -> Service:
    upstream = load(ctx, service, "Service")
    forwards = [(p.get("frontend"), p["backend"], p.get("protocol") or "TCP") for p in ports or ()]
    if native or not forwards:
        forwards += [(p.port if native else None, p.port, p.protocol) for p in upstream.ports]
    if not forwards:
        raise EngineError("no ports to forward: expose one on the service, or name them")
    return Service("tunnel", upstream=upstream, forwards=tuple(forwards))


def host_service(ctx: Context, _: object, ports: list[dict[str, Any]], host: str = "localhost") -> Service:
    if not ports:
        raise EngineError("no ports specified")
    forwards = tuple((p.get("frontend") or p["backend"], p["backend"], p.get("protocol") or "TCP") for p in ports)
    return Service("host", forwards=forwards, host=host)


async def plaintext(ctx: Context, value: Secret) -> str:
    data: bytes = ctx.solver.secrets.value(value)
    return data.decode(errors="replace")


async def service_start(ctx: Context, service: Service) -> str:
    await services.start(ctx.solver, service)
    return identify(ctx, "Service", service)


async def service_stop(ctx: Context, service: Service, kill: bool = False) -> str:
    await services.stop(ctx.solver, service)
    return identify(ctx, "Service", service)


async def endpoint(ctx: Context, service: Service, port: int | None = None, scheme: str = "") -> str:
    text = await services.endpoint(ctx.solver, service, port)
    return f"{scheme}://{text}" if scheme else text


async def service_ports(ctx: Context, service: Service) -> list[Record]:
    return [port_record(p) for p in await services.ports(ctx.solver, service)]


async def hostname(ctx: Context, service: Service) -> str:
    return services.name_of(service)


def with_hostname(ctx: Context, service: Service, hostname: str) -> Service:
    return replace(service, hostname=hostname)


QUERY: dict[str, Any] = {
    "cacheVolume": lambda ctx, _, key, source="", sharing="SHARED", owner="": CacheVolume(
        key, load(ctx, source, "Directory").op if source else None, owner, sharing
    ),
    "container": container,
    "defaultPlatform": default_platform,
    "directory": lambda ctx, _: Directory(),
    "file": new_file,
    "host": lambda ctx, _: _Host(),
    "http": http,
    "node": node,
    "secret": secret,
    "setSecret": lambda ctx, _, name, plaintext: ctx.solver.secrets.add(name, plaintext),
    "version": lambda ctx, _: ctx.version,
}


class _Host:
    digest = "host"


HOST: dict[str, Any] = {
    "directory": host_directory,
    "file": host_file,
    "findUp": host_find_up,
    "service": host_service,
    "tunnel": tunnel,
}
SECRET: dict[str, Any] = {
    "name": lambda ctx, value: value.name,
    "plaintext": plaintext,
    "uri": lambda ctx, value: value.uri,
}
SERVICE: dict[str, Any] = {
    "endpoint": endpoint,
    "hostname": hostname,
    "ports": service_ports,
    "start": service_start,
    "stop": service_stop,
    "sync": service_start,
    "withHostname": with_hostname,
}
