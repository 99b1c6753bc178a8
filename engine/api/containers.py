"""Fields of ``Container``."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from engine import folders
from engine.api.objects import Directory, File, Record, absolute, expanded, identify, load, record
from engine.errors import EngineError
from engine.graph import SCRATCH, Container, Exec, Mount, Op, Port, Service
from engine.oci import container_of, read_image
from engine.session.execute import Context

_PRIVILEGED = ("insecureRootCapabilities", "experimentalPrivilegedNesting")


def refuse_privileges(field: str, arguments: dict[str, Any]) -> None:
    for name in _PRIVILEGED:
        if arguments.get(name):
            raise EngineError(f"{field}({name}: true) is not supported by the embedded engine")


def _mount_of(box: Container, path: str) -> tuple[Mount, str] | None:
    """The innermost mount that holds a path, and the path inside it."""
    best = None
    for mount in box.mounts:
        at = mount.at.rstrip("/")
        if (path == at or path.startswith(at + "/")) and (best is None or len(at) >= len(best.at.rstrip("/"))):
            best = mount
    return (best, path[len(best.at.rstrip("/")) :].lstrip("/")) if best else None


def _inside(box: Container, path: str) -> tuple[Op, str]:
    """The tree that holds a path of a container, and the path in it."""
    found = _mount_of(box, path)
    if found is None:
        return box.root, path
    mount, rest = found
    if mount.op is None:
        raise EngineError(f"{path} lies in a {mount.kind} mount, which can only be read in a step")
    return mount.op, rest


def _write(box: Container, path: str, verb: str, arguments: dict[str, Any], *sources: Op) -> Container:
    """A container with an operation made on the tree that holds a path."""
    found = _mount_of(box, path)
    if found is None:
        return box.change(root=Op(verb, {**arguments, "path": path}, (box.root, *sources)))
    mount, rest = found
    if mount.op is None or mount.kind != "directory":
        raise EngineError(f"{path} lies in a {mount.kind} mount, which cannot be written from outside a step")
    changed = _remount(mount, op=Op(verb, {**arguments, "path": rest}, (mount.op, *sources)))
    return box.change(mounts=tuple(changed if m is mount else m for m in box.mounts))


def _remount(mount: Mount, **changes: Any) -> Mount:
    fields = ("at", "kind", "op", "volume", "secret", "owner", "mode", "size", "read_only", "sharing")
    return Mount(**{**{name: getattr(mount, name) for name in fields}, **changes})


def with_exec(ctx: Context, box: Container, args: list[str], **o: Any) -> Container:
    refuse_privileges("Container.withExec", o)
    words = [expanded(box, a) for a in args] if o.get("expand") else list(args)
    if not words:
        words = list(box.default_args)
    if o.get("useEntrypoint"):
        words = [*box.entrypoint, *words]
    where = {
        name: absolute(box, o[key], bool(o.get("expand"))) if o.get(key) else ""
        for name, key in (
            ("redirect_stdin", "redirectStdin"),
            ("redirect_stdout", "redirectStdout"),
            ("redirect_stderr", "redirectStderr"),
        )
    }
    step = Exec(box.change(last=None), tuple(words), o.get("stdin", ""), expect=o.get("expect", "SUCCESS"), **where)
    mounts = tuple(
        _remount(m, op=Op("step_mount", {"step": step, "at": m.at})) if m.op is not None and not m.read_only else m
        for m in box.mounts
    )
    return box.change(root=Op("step_root", {"step": step}), mounts=mounts, last=step)


async def _outcome(ctx: Context, box: Container) -> dict[str, Any]:
    if box.last is None:
        box = with_exec(ctx, box, [], useEntrypoint=bool(box.entrypoint))
    assert box.last is not None
    outcome: dict[str, Any] = await ctx.solver.step(box.last)
    return outcome


async def stdout(ctx: Context, box: Container) -> str:
    return str((await _outcome(ctx, box))["stdout"])


async def stderr(ctx: Context, box: Container) -> str:
    return str((await _outcome(ctx, box))["stderr"])


async def combined_output(ctx: Context, box: Container) -> str:
    outcome = await _outcome(ctx, box)
    return str(outcome["stdout"]) + str(outcome["stderr"])


async def exit_code(ctx: Context, box: Container) -> int:
    return int((await _outcome(ctx, box))["exit"])


async def _settle(ctx: Context, box: Container) -> None:
    await ctx.solver.solve(box.root)
    for mount in box.mounts:
        if mount.op is not None:
            await ctx.solver.solve(mount.op)


async def sync(ctx: Context, box: Container) -> str:
    await _settle(ctx, box)
    return identify(ctx, "Container", box)


def directory(ctx: Context, box: Container, path: str, expand: bool = False) -> Directory:
    op, rest = _inside(box, absolute(box, path, expand))
    return Directory(Op("directory_of", {"path": rest}, (op,)), posixpath.basename(path) or "/")


def file(ctx: Context, box: Container, path: str, expand: bool = False) -> File:
    at = absolute(box, path, expand)
    found = _mount_of(box, at)
    if found is not None and found[0].kind == "file" and found[0].op is not None:
        return File(found[0].op, posixpath.basename(at))
    op, rest = _inside(box, at)
    return File(Op("file_of", {"path": rest}, (op,)), posixpath.basename(at))


def rootfs(ctx: Context, box: Container) -> Directory:
    return Directory(box.root)


def with_rootfs(ctx: Context, box: Container, directory: str) -> Container:
    return box.change(root=load(ctx, directory, "Directory").op)


async def exists(
    ctx: Context,
    box: Container,
    path: str,
    expectedType: str = "",
    doNotFollowSymlinks: bool = False,
    expand: bool = False,
) -> bool:
    from engine.api.directories import exists_in

    op, rest = _inside(box, absolute(box, path, expand))
    return await exists_in(ctx, op, rest, expectedType, doNotFollowSymlinks)


async def stat(ctx: Context, box: Container, path: str, doNotFollowSymlinks: bool = False) -> Record:
    from engine.api.directories import stat_in

    op, rest = _inside(box, absolute(box, path))
    return await stat_in(ctx, op, rest, doNotFollowSymlinks)


def with_directory(ctx: Context, box: Container, path: str, source: str, **o: Any) -> Container:
    arguments = {
        "include": o.get("include", []),
        "exclude": o.get("exclude", []),
        "use_gitignore": bool(o.get("gitignore")),
        "owner": o.get("owner", ""),
        "mode": o.get("permissions"),
    }
    at = absolute(box, path, bool(o.get("expand")))
    return _write(box, at, "put_directory", arguments, load(ctx, source, "Directory").op)


def with_file(ctx: Context, box: Container, path: str, source: str, **o: Any) -> Container:
    given = load(ctx, source, "File")
    at = absolute(box, path, bool(o.get("expand")))
    if path.endswith("/"):
        at = f"{at.rstrip('/')}/{given.name}"
    arguments = {"mode": o.get("permissions"), "owner": o.get("owner", "")}
    return _write(box, at, "put_file", arguments, given.op)


def with_files(ctx: Context, box: Container, path: str, sources: list[str], **o: Any) -> Container:
    for source in sources:
        box = with_file(ctx, box, path.rstrip("/") + "/", source, **o)
    return box


def with_new_file(ctx: Context, box: Container, path: str, contents: str, **o: Any) -> Container:
    made = Op("bytes", {"data": contents, "mode": o.get("permissions", 0o644)})
    at = absolute(box, path, bool(o.get("expand")))
    return _write(box, at, "put_file", {"mode": None, "owner": o.get("owner", "")}, made)


def with_symlink(ctx: Context, box: Container, target: str, linkName: str, expand: bool = False) -> Container:
    return _write(
        box, absolute(box, linkName, expand), "symlink", {"target": expanded(box, target) if expand else target}
    )


def _without(box: Container, path: str, only: str) -> Container:
    found = _mount_of(box, path)
    if found is None:
        return box.change(root=Op("remove", {"paths": [path], "only": only}, (box.root,)))
    mount, rest = found
    if mount.op is None:
        return box
    changed = _remount(mount, op=Op("remove", {"paths": [rest], "only": only}, (mount.op,)))
    return box.change(mounts=tuple(changed if m is mount else m for m in box.mounts))


def without_directory(ctx: Context, box: Container, path: str, expand: bool = False) -> Container:
    return _without(box, absolute(box, path, expand), "")


def without_file(ctx: Context, box: Container, path: str, expand: bool = False) -> Container:
    return _without(box, absolute(box, path, expand), "f")


def without_files(ctx: Context, box: Container, paths: list[str], expand: bool = False) -> Container:
    for path in paths:
        box = without_file(ctx, box, path, expand)
    return box


def _mounted(box: Container, mount: Mount) -> Container:
    return box.change(mounts=(*(m for m in box.mounts if m.at != mount.at), mount))


def with_mounted_directory(
    ctx: Context, box: Container, path: str, source: str, owner: str = "", readOnly: bool = False, expand: bool = False
) -> Container:
    op = load(ctx, source, "Directory").op
    return _mounted(box, Mount(absolute(box, path, expand), "directory", op, owner=owner, read_only=readOnly))


def with_mounted_file(
    ctx: Context, box: Container, path: str, source: str, owner: str = "", expand: bool = False
) -> Container:
    return _mounted(box, Mount(absolute(box, path, expand), "file", load(ctx, source, "File").op, owner=owner))


def with_mounted_cache(ctx: Context, box: Container, path: str, cache: str, **o: Any) -> Container:
    volume = load(ctx, cache, "CacheVolume")
    if o.get("source"):
        volume = type(volume)(volume.key, load(ctx, o["source"], "Directory").op, volume.owner)
    mount = Mount(
        absolute(box, path, bool(o.get("expand"))),
        "cache",
        volume=volume,
        owner=o.get("owner", volume.owner),
        sharing=o.get("sharing", "SHARED"),
    )
    return _mounted(box, mount)


def with_mounted_temp(
    ctx: Context, box: Container, path: str, size: int | None = None, expand: bool = False
) -> Container:
    return _mounted(box, Mount(absolute(box, path, expand), "temp", size=size))


def with_mounted_secret(
    ctx: Context, box: Container, path: str, source: str, owner: str = "", mode: int = 0o400, expand: bool = False
) -> Container:
    secret = load(ctx, source, "Secret")
    return _mounted(box, Mount(absolute(box, path, expand), "secret", secret=secret, owner=owner, mode=mode))


def without_mount(ctx: Context, box: Container, path: str, expand: bool = False) -> Container:
    at = absolute(box, path, expand)
    return box.change(mounts=tuple(m for m in box.mounts if m.at != at))


def mounts(ctx: Context, box: Container) -> list[str]:
    return [m.at for m in box.mounts]


def _set(pairs: tuple[tuple[str, Any], ...], name: str, value: Any) -> tuple[tuple[str, Any], ...]:
    if any(n == name for n, _ in pairs):
        return tuple((n, value if n == name else v) for n, v in pairs)
    return (*pairs, (name, value))


def _unset(pairs: tuple[tuple[str, Any], ...], name: str) -> tuple[tuple[str, Any], ...]:
    return tuple((n, v) for n, v in pairs if n != name)


def with_env_variable(ctx: Context, box: Container, name: str, value: str, expand: bool = False) -> Container:
    return box.change(
        env=_set(box.env, name, expanded(box, value) if expand else value), secret_env=_unset(box.secret_env, name)
    )


def with_secret_variable(ctx: Context, box: Container, name: str, secret: str) -> Container:
    return box.change(secret_env=_set(box.secret_env, name, load(ctx, secret, "Secret")), env=_unset(box.env, name))


def with_service_binding(ctx: Context, box: Container, alias: str, service: str) -> Container:
    return box.change(services=_set(box.services, alias, load(ctx, service, "Service")))


def with_default_args(ctx: Context, box: Container, args: list[str]) -> Container:
    return box.change(default_args=tuple(args))


def with_entrypoint(ctx: Context, box: Container, args: list[str], keepDefaultArgs: bool = False) -> Container:
    return box.change(entrypoint=tuple(args), **({} if keepDefaultArgs else {"default_args": ()}))


def without_entrypoint(ctx: Context, box: Container, keepDefaultArgs: bool = False) -> Container:
    return box.change(entrypoint=(), **({} if keepDefaultArgs else {"default_args": ()}))


def with_workdir(ctx: Context, box: Container, path: str, expand: bool = False) -> Container:
    return box.change(workdir=absolute(box, path, expand))


def with_exposed_port(
    ctx: Context,
    box: Container,
    port: int,
    protocol: str = "TCP",
    description: str | None = None,
    experimentalSkipHealthcheck: bool = False,
) -> Container:
    ports = tuple(p for p in box.ports if (p.port, p.protocol) != (port, protocol))
    return box.change(ports=(*ports, Port(port, protocol, description, experimentalSkipHealthcheck)))


def without_exposed_port(ctx: Context, box: Container, port: int, protocol: str = "TCP") -> Container:
    return box.change(ports=tuple(p for p in box.ports if (p.port, p.protocol) != (port, protocol)))


def exposed_ports(ctx: Context, box: Container) -> list[Record]:
    return [port_record(p) for p in box.ports]


def port_record(port: Port) -> Record:
    return record(
        port=port.port,
        protocol=port.protocol,
        description=port.description,
        experimentalSkipHealthcheck=port.experimental_skip_healthcheck,
    )


def with_healthcheck(ctx: Context, box: Container, args: list[str], shell: bool = False, **o: Any) -> Container:
    fields: dict[str, Any] = {"Test": ["CMD-SHELL" if shell else "CMD", *args]}
    for name, key in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("startPeriod", "StartPeriod"),
        ("startInterval", "StartInterval"),
    ):
        if o.get(name):
            fields[key] = nanoseconds(o[name])
    if o.get("retries"):
        fields["Retries"] = o["retries"]
    return box.change(healthcheck=tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in fields.items()))


def nanoseconds(text: str) -> int:
    """A duration as Go writes it (``1m30s``) in nanoseconds."""
    import re

    units = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    parts = re.findall(r"([0-9.]+)(ns|us|ms|s|m|h)", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise EngineError(f"{text!r} is not a duration such as 30s or 1m30s")
    return int(sum(float(number) * units[unit] for number, unit in parts))


def images_of(ctx: Context, box: Container, variants: list[str] | None) -> list[Container]:
    boxes = [load(ctx, v, "Container") for v in variants or ()]
    return boxes if box.root == SCRATCH and boxes else [box, *boxes]


def as_tarball(
    ctx: Context,
    box: Container,
    platformVariants: list[str] | None = None,
    forcedCompression: str = "",
    mediaTypes: str = "",
) -> File:
    boxes = images_of(ctx, box, platformVariants)
    if forcedCompression in ("EStarGZ", "Zstd"):
        raise EngineError(f"compression {forcedCompression} is not supported by the embedded engine")
    arguments = {"images": boxes, "docker": mediaTypes == "DockerMediaTypes", "compression": forcedCompression}
    return File(Op("tarball", arguments, tuple(b.root for b in boxes)), "image.tar")


async def export(
    ctx: Context, box: Container, path: str, platformVariants: list[str] | None = None, expand: bool = False, **o: Any
) -> str:
    tarball = as_tarball(ctx, box, platformVariants, **o)
    entry = await ctx.solver.solve(tarball.op)
    target = Path(expanded(box, path) if expand else path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folders.export_file(ctx.solver.store, entry, target)
    except OSError as error:
        raise EngineError(f"cannot write {target}: {error.strerror}") from None
    return str(target)


async def import_(ctx: Context, box: Container, source: str, tag: str = "") -> Container:
    op = load(ctx, source, "File").op
    entry = await ctx.solver.solve(op)
    import asyncio

    _, (config, manifest) = await asyncio.to_thread(read_image, ctx.solver, entry, tag)
    described = container_of(box, config, manifest)
    return described.change(root=Op("image_root", {"tag": tag}, (op,)))


def as_service(ctx: Context, box: Container, args: list[str] | None = None, **o: Any) -> Service:
    refuse_privileges("Container.asService", o)
    if args is not None:
        words = [*box.entrypoint, *args] if o.get("useEntrypoint") else list(args)
    elif box.last is not None and not box.default_args:
        words = list(box.last.args)
    else:
        words = [*(box.entrypoint if o.get("useEntrypoint") or args is None else ()), *box.default_args]
    if args is None and box.last is not None and not box.default_args and not box.entrypoint:
        box = box.last.container.change(ports=box.ports)
    return Service("container", box.change(last=None), tuple(words), box.ports)


def with_error(ctx: Context, box: Container, err: str) -> Container:
    return box.change(root=Op("error", {"message": err}, (box.root,))) if err else box


def _getter(name: str) -> Any:
    return lambda ctx, box: getattr(box, name)


def _changer(**changes: Any) -> Any:
    return lambda ctx, box: box.change(**changes)


def _records(name: str) -> Any:
    return lambda ctx, box: [record(name=n, value=v) for n, v in getattr(box, name)]


FIELDS: dict[str, Any] = {
    "asService": as_service,
    "asTarball": as_tarball,
    "combinedOutput": combined_output,
    "defaultArgs": lambda ctx, box: list(box.default_args),
    "directory": directory,
    "entrypoint": lambda ctx, box: list(box.entrypoint),
    "envVariable": lambda ctx, box, name: dict(box.env).get(name),
    "envVariables": _records("env"),
    "exists": exists,
    "exitCode": exit_code,
    "export": export,
    "exposedPorts": exposed_ports,
    "file": file,
    "import": import_,
    "label": lambda ctx, box, name: dict(box.labels).get(name),
    "labels": _records("labels"),
    "mounts": mounts,
    "platform": _getter("platform"),
    "rootfs": rootfs,
    "stat": stat,
    "stderr": stderr,
    "stdout": stdout,
    "sync": sync,
    "user": _getter("user"),
    "workdir": _getter("workdir"),
    "withAnnotation": lambda ctx, box, name, value: box.change(annotations=_set(box.annotations, name, value)),
    "withDefaultArgs": with_default_args,
    "withDirectory": with_directory,
    "withDockerHealthcheck": with_healthcheck,
    "withEntrypoint": with_entrypoint,
    "withEnvVariable": with_env_variable,
    "withError": with_error,
    "withExec": with_exec,
    "withExposedPort": with_exposed_port,
    "withFile": with_file,
    "withFiles": with_files,
    "withLabel": lambda ctx, box, name, value: box.change(labels=_set(box.labels, name, value)),
    "withMountedCache": with_mounted_cache,
    "withMountedDirectory": with_mounted_directory,
    "withMountedFile": with_mounted_file,
    "withMountedSecret": with_mounted_secret,
    "withMountedTemp": with_mounted_temp,
    "withNewFile": with_new_file,
    "withRootfs": with_rootfs,
    "withSecretVariable": with_secret_variable,
    "withServiceBinding": with_service_binding,
    "withSymlink": with_symlink,
    "withUser": lambda ctx, box, name: box.change(user=name),
    "withVolatileVariable": lambda ctx, box, name, value: box.change(volatile=_set(box.volatile, name, value)),
    "withWorkdir": with_workdir,
    "withoutAnnotation": lambda ctx, box, name: box.change(annotations=_unset(box.annotations, name)),
    "withoutDefaultArgs": _changer(default_args=()),
    "withoutDirectory": without_directory,
    "withoutDockerHealthcheck": _changer(healthcheck=()),
    "withoutEntrypoint": without_entrypoint,
    "withoutEnvVariable": lambda ctx, box, name: box.change(env=_unset(box.env, name)),
    "withoutExposedPort": without_exposed_port,
    "withoutFile": without_file,
    "withoutFiles": without_files,
    "withoutLabel": lambda ctx, box, name: box.change(labels=_unset(box.labels, name)),
    "withoutMount": without_mount,
    "withoutSecretVariable": lambda ctx, box, name: box.change(secret_env=_unset(box.secret_env, name)),
    "withoutUser": _changer(user=""),
    "withoutVolatileVariable": lambda ctx, box, name: box.change(volatile=_unset(box.volatile, name)),
    "withoutWorkdir": _changer(workdir=""),
}
