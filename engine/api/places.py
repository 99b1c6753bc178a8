"""Fields of ``Container`` about files: in its root and in what is mounted over it."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Any

from engine.api.configuration import after_steps
from engine.api.directories import exists_in, stat_in
from engine.api.objects import Directory, File, Record, absolute, expanded, given, load
from engine.errors import EngineError
from engine.graph import Container, Mount, Op
from engine.session.execute import Context


def _mount_of(box: Container, path: str) -> tuple[Mount, str] | None:
    """The innermost mount that holds a path, and the path inside it (empty for the mount itself)."""
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
        raise EngineError(f"{path}: cannot retrieve path from {mount.kind}")
    return mount.op, rest


def _write(box: Container, path: str, verb: str, arguments: dict[str, Any], *sources: Op) -> Container:
    """A container with an operation made on the tree that holds a path.

    What is mounted at the very path is unmounted first, but for a directory that a directory is laid over.
    """
    found = _mount_of(box, path)
    if found is None:
        return box.change(root=Op(verb, {**arguments, "path": path}, (box.root, *sources)), image_ref="")
    mount, rest = found
    if not rest and not (verb == "put_directory" and mount.kind == "directory"):
        return _write(_unmounted(box, mount.at), path, verb, arguments, *sources)
    if mount.op is None or mount.kind != "directory":
        raise EngineError(f"{path}: cannot write to a path in a {mount.kind} mount from outside a step")
    changed = mount.change(op=Op(verb, {**arguments, "path": rest}, (mount.op, *sources)))
    return box.change(mounts=tuple(changed if m is mount else m for m in box.mounts), image_ref="")


def _unmounted(box: Container, at: str) -> Container:
    return box.change(mounts=tuple(m for m in box.mounts if m.at != at))


def directory(ctx: Context, box: Container, path: str, expand: bool = False) -> Directory:
    at = absolute(box, path, expand)
    op, rest = _inside(box, at)
    return Directory(Op("directory_of", {"path": rest}, (op,)), posixpath.basename(at) or "/")


def file(ctx: Context, box: Container, path: str, expand: bool = False) -> File:
    at = absolute(box, path, expand)
    found = _mount_of(box, at)
    if found is not None and found[0].kind == "file" and found[0].op is not None:
        return File(found[0].op, posixpath.basename(at))
    op, rest = _inside(box, at)
    return File(Op("file_of", {"path": rest}, (op,)), posixpath.basename(at))


def with_rootfs(ctx: Context, box: Container, directory: str) -> Container:
    return box.change(root=load(ctx, directory, "Directory").op, image_ref="")


async def exists(
    ctx: Context,
    box: Container,
    path: str,
    expectedType: str = "",
    doNotFollowSymlinks: bool = False,
    expand: bool = False,
) -> bool:
    op, rest = _inside(box, absolute(box, path, expand))
    return await exists_in(ctx, op, rest or "/", expectedType, doNotFollowSymlinks)


async def stat(ctx: Context, box: Container, path: str, doNotFollowSymlinks: bool = False) -> Record:
    op, rest = _inside(box, absolute(box, path))
    return await stat_in(ctx, op, rest, doNotFollowSymlinks)


def with_directory(
    ctx: Context,
    box: Container,
    path: str,
    source: str,
    exclude: list[str] | None = None,
    include: list[str] | None = None,
    gitignore: bool = False,
    owner: str = "",
    expand: bool = False,
    permissions: int | None = None,
) -> Container:
    arguments = {
        "include": include or [],
        "exclude": exclude or [],
        "use_gitignore": gitignore,
        "owner": owner,
        "mode": permissions,
    }
    return _write(box, absolute(box, path, expand), "put_directory", arguments, load(ctx, source, "Directory").op)


def with_file(
    ctx: Context,
    box: Container,
    path: str,
    source: str,
    permissions: int | None = None,
    owner: str = "",
    expand: bool = False,
) -> Container:
    file = load(ctx, source, "File")
    at = absolute(box, path, expand)
    arguments = {"mode": permissions, "owner": owner, "name": file.name, "into": path.endswith(("/", "/."))}
    return _write(box, at, "put_file", arguments, file.op)


def with_files(
    ctx: Context,
    box: Container,
    path: str,
    sources: list[str],
    permissions: int | None = None,
    owner: str = "",
    expand: bool = False,
) -> Container:
    for source in sources:
        at = posixpath.join(given(box, path, expand), load(ctx, source, "File").name)
        box = with_file(ctx, box, at, source, permissions, owner)
    return box


def with_new_file(
    ctx: Context,
    box: Container,
    path: str,
    contents: str,
    permissions: int = 0o644,
    owner: str = "",
    expand: bool = False,
) -> Container:
    made = Op("bytes", {"data": contents, "mode": permissions & 0o777 or 0o644})
    at = absolute(box, path, expand)
    arguments = {"mode": None, "owner": owner, "name": posixpath.basename(at), "into": path.endswith(("/", "/."))}
    return _write(box, at, "put_file", arguments, made)


def with_symlink(ctx: Context, box: Container, target: str, linkName: str, expand: bool = False) -> Container:
    arguments = {"target": expanded(box, target) if expand else target}
    return _write(box, absolute(box, linkName, expand), "symlink", arguments)


def without_path(ctx: Context, box: Container, path: str, expand: bool = False) -> Container:
    at = absolute(box, path, expand)
    found = _mount_of(box, at)
    if found is None:
        return box.change(root=Op("remove", {"paths": [at]}, (box.root,)), image_ref="")
    mount, rest = found
    if not rest:
        return without_path(ctx, _unmounted(box, mount.at), at)
    if mount.op is None:
        raise EngineError(f"{at}: cannot remove a path in a {mount.kind} mount from outside a step")
    changed = mount.change(op=Op("remove", {"paths": [rest]}, (mount.op,)))
    return box.change(mounts=tuple(changed if m is mount else m for m in box.mounts), image_ref="")


def without_files(ctx: Context, box: Container, paths: list[str], expand: bool = False) -> Container:
    for path in paths:
        box = without_path(ctx, box, path, expand)
    return box


def _mounted(box: Container, mount: Mount) -> Container:
    covered = mount.at.rstrip("/") + "/"
    others = (m for m in box.mounts if m.at != mount.at and not m.at.startswith(covered))
    return box.change(mounts=(*others, mount), image_ref="")


def with_mounted_directory(
    ctx: Context, box: Container, path: str, source: str, owner: str = "", readOnly: bool = False, expand: bool = False
) -> Container:
    op = load(ctx, source, "Directory").op
    return _mounted(box, Mount(absolute(box, path, expand), "directory", op, owner=owner, read_only=readOnly))


def with_mounted_file(
    ctx: Context, box: Container, path: str, source: str, owner: str = "", expand: bool = False
) -> Container:
    return _mounted(box, Mount(absolute(box, path, expand), "file", load(ctx, source, "File").op, owner=owner))


def with_mounted_cache(
    ctx: Context,
    box: Container,
    path: str,
    cache: str,
    source: str | None = None,
    sharing: str | None = None,
    owner: str | None = None,
    expand: bool = False,
) -> Container:
    volume = load(ctx, cache, "CacheVolume")
    if source is not None:
        volume = replace(volume, source=load(ctx, source, "Directory").op)
    volume = replace(volume, owner=volume.owner if owner is None else owner, sharing=sharing or volume.sharing)
    at = absolute(box, path, expand)
    return _mounted(box, Mount(at, "cache", volume=volume, owner=volume.owner, sharing=volume.sharing))


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


FIELDS: dict[str, Any] = {
    "directory": directory,
    "exists": exists,
    "file": file,
    "mounts": after_steps(lambda ctx, box: [m.at for m in box.mounts if m.kind != "secret"]),
    "rootfs": lambda ctx, box: Directory(box.root),
    "stat": stat,
    "withDirectory": with_directory,
    "withFile": with_file,
    "withFiles": with_files,
    "withMountedCache": with_mounted_cache,
    "withMountedDirectory": with_mounted_directory,
    "withMountedFile": with_mounted_file,
    "withMountedSecret": with_mounted_secret,
    "withMountedTemp": with_mounted_temp,
    "withNewFile": with_new_file,
    "withRootfs": with_rootfs,
    "withSymlink": with_symlink,
    "withoutDirectory": without_path,
    "withoutFile": without_path,
    "withoutFiles": without_files,
    "withoutMount": without_mount,
}
