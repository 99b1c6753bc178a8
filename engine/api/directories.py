"""Fields of ``Directory`` and ``File``."""

from __future__ import annotations

import asyncio
import posixpath
from pathlib import Path
from typing import Any

from engine import folders
from engine.api.objects import Directory, File, Record, identify, load, record
from engine.errors import EngineError
from engine.graph import Op
from engine.session.execute import Context
from engine.tree import Entry

_TYPES = {"f": ("REGULAR_TYPE", "REGULAR"), "d": ("DIRECTORY_TYPE", "DIRECTORY"), "l": ("SYMLINK_TYPE", "SYMLINK")}


async def _found(ctx: Context, op: Op, path: str, follow: bool) -> Entry | None:
    root = await ctx.solver.solve(op)
    found: Entry | None = ctx.solver.trees.find(root, path, follow=follow)
    return found


async def exists_in(ctx: Context, op: Op, path: str, expected: str, literal: bool) -> bool:
    follow = not literal and expected not in _TYPES["l"]
    found = await _found(ctx, op, path, follow)
    return found is not None and (not expected or expected in _TYPES[found.kind])


async def stat_in(ctx: Context, op: Op, path: str, literal: bool) -> Record:
    found = await _found(ctx, op, path, not literal)
    if found is None:
        raise EngineError(f"{path}: no such file or directory")
    return record(
        name=posixpath.basename(path.rstrip("/")) or "/",
        size=found.size,
        permissions=found.mode,
        fileType=_TYPES[found.kind][1],
    )


async def entries(ctx: Context, tree: Directory, path: str = "") -> list[str]:
    root = await ctx.solver.solve(tree.op)
    found = ctx.solver.trees.find(root, path)
    if found is None:
        raise EngineError(f"{path}: no such file or directory")
    if found.kind != "d":
        raise EngineError(f"{path} is not a directory")
    return sorted(name + "/" * (e.kind == "d") for name, e in ctx.solver.trees.node(found).items())


async def glob(ctx: Context, tree: Directory, pattern: str) -> list[str]:
    root = await ctx.solver.solve(tree.op)
    found: list[str] = ctx.solver.trees.glob(root, pattern)
    return found


async def digest(ctx: Context, tree: Directory) -> str:
    from engine.tree import content_key

    return "sha256:" + content_key(await ctx.solver.solve(tree.op))


async def export(ctx: Context, tree: Directory, path: str, wipe: bool = False) -> str:
    root = await ctx.solver.solve(tree.op)
    await asyncio.to_thread(folders.export, ctx.solver.store, root, Path(path), wipe)
    return str(path)


async def find_up(ctx: Context, tree: Directory, name: str, start: str) -> str | None:
    root = await ctx.solver.solve(tree.op)
    here = start.strip("/")
    while True:
        candidate = f"{here}/{name}".lstrip("/")
        if ctx.solver.trees.find(root, candidate) is not None:
            return candidate
        if not here:
            return None
        here = posixpath.dirname(here)


def _made(tree: Directory, verb: str, arguments: dict[str, Any], *sources: Op) -> Directory:
    return Directory(Op(verb, arguments, (tree.op, *sources)), tree.name)


def with_directory(ctx: Context, tree: Directory, path: str, source: str, **o: Any) -> Directory:
    arguments = {
        "path": path,
        "include": o.get("include", []),
        "exclude": o.get("exclude", []),
        "use_gitignore": bool(o.get("gitignore")),
        "owner": o.get("owner", ""),
        "mode": o.get("permissions"),
    }
    return _made(tree, "put_directory", arguments, load(ctx, source, "Directory").op)


def with_file(
    ctx: Context, tree: Directory, path: str, source: str, permissions: int | None = None, owner: str = ""
) -> Directory:
    given = load(ctx, source, "File")
    at = path + given.name if path.endswith("/") else path
    return _made(tree, "put_file", {"path": at, "mode": permissions, "owner": owner}, given.op)


def with_files(
    ctx: Context, tree: Directory, path: str, sources: list[str], permissions: int | None = None
) -> Directory:
    for source in sources:
        tree = with_file(ctx, tree, path.rstrip("/") + "/", source, permissions)
    return tree


def with_new_file(ctx: Context, tree: Directory, path: str, contents: str, permissions: int = 0o644) -> Directory:
    made = Op("bytes", {"data": contents, "mode": permissions})
    return _made(tree, "put_file", {"path": path, "mode": None, "owner": ""}, made)


def without(only: str) -> Any:
    def field(ctx: Context, tree: Directory, path: str = "", paths: list[str] | None = None) -> Directory:
        return _made(tree, "remove", {"paths": paths if paths is not None else [path], "only": only})

    return field


def filtered(
    ctx: Context,
    tree: Directory,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    gitignore: bool = False,
) -> Directory:
    return _made(tree, "filter", {"include": include or [], "exclude": exclude or [], "use_gitignore": gitignore})


async def sync(ctx: Context, tree: Directory) -> str:
    await ctx.solver.solve(tree.op)
    return identify(ctx, "Directory", tree)


def directory_at(ctx: Context, tree: Directory, path: str) -> Directory:
    return Directory(Op("directory_of", {"path": path}, (tree.op,)), posixpath.basename(path.rstrip("/")) or "/")


def file_at(ctx: Context, tree: Directory, path: str) -> File:
    return File(Op("file_of", {"path": path}, (tree.op,)), posixpath.basename(path))


DIRECTORY: dict[str, Any] = {
    "chown": lambda ctx, tree, path, owner: _made(tree, "chown", {"path": path, "owner": owner}),
    "diff": lambda ctx, tree, other: _made(tree, "diff", {}, load(ctx, other, "Directory").op),
    "digest": digest,
    "directory": directory_at,
    "entries": entries,
    "exists": lambda ctx, tree, path, expectedType="", doNotFollowSymlinks=False: exists_in(
        ctx, tree.op, path, expectedType, doNotFollowSymlinks
    ),
    "export": export,
    "file": file_at,
    "filter": filtered,
    "findUp": find_up,
    "glob": glob,
    "name": lambda ctx, tree: tree.name + ("" if tree.name.endswith("/") else "/"),
    "stat": lambda ctx, tree, path, doNotFollowSymlinks=False: stat_in(ctx, tree.op, path, doNotFollowSymlinks),
    "sync": sync,
    "withDirectory": with_directory,
    "withError": lambda ctx, tree, err: _made(tree, "error", {"message": err}) if err else tree,
    "withFile": with_file,
    "withFiles": with_files,
    "withNewDirectory": lambda ctx, tree, path, permissions=0o755: _made(
        tree, "make_directory", {"path": path, "mode": permissions}
    ),
    "withNewFile": with_new_file,
    "withSymlink": lambda ctx, tree, target, linkName: _made(tree, "symlink", {"path": linkName, "target": target}),
    "withTimestamps": lambda ctx, tree, timestamp: _made(tree, "timestamps", {"seconds": timestamp}),
    "withoutDirectory": without(""),
    "withoutFile": without("f"),
    "withoutFiles": without("f"),
}


async def contents(ctx: Context, file: File, offsetLines: int | None = None, limitLines: int | None = None) -> str:
    data: bytes = ctx.solver.store.read(await ctx.solver.solve(file.op))
    text = data.decode("utf-8", "replace")
    if offsetLines is None and limitLines is None:
        return text
    lines = text.splitlines(keepends=True)[offsetLines or 0 :]
    return "".join(lines if limitLines is None else lines[:limitLines])


async def file_export(ctx: Context, file: File, path: str, allowParentDirPath: bool = False) -> str:
    entry = await ctx.solver.solve(file.op)
    target = Path(path)
    if target.is_dir():
        if not allowParentDirPath:
            raise EngineError(f"{path} is a directory; name the file, or set allowParentDirPath")
        target = target / file.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(folders.export_file, ctx.solver.store, entry, target)
    except OSError as error:
        raise EngineError(f"cannot write {path}: {error.strerror}") from None
    return str(target)


async def file_sync(ctx: Context, file: File) -> str:
    await ctx.solver.solve(file.op)
    return identify(ctx, "File", file)


async def file_size(ctx: Context, file: File) -> int:
    return int((await ctx.solver.solve(file.op)).size)


async def file_digest(ctx: Context, file: File, excludeMetadata: bool = False) -> str:
    from engine.tree import content_key

    entry = await ctx.solver.solve(file.op)
    return "sha256:" + (entry.ref if excludeMetadata else content_key(entry))


async def file_stat(ctx: Context, file: File) -> Record:
    entry = await ctx.solver.solve(file.op)
    return record(name=file.name, size=entry.size, permissions=entry.mode, fileType=_TYPES["f"][1])


def replaced(
    ctx: Context, file: File, search: str, replacement: str, all: bool = False, firstFrom: int | None = None
) -> File:
    arguments = {"search": search, "replacement": replacement, "every": all, "first_from": firstFrom}
    return File(Op("replaced", arguments, (file.op,)), file.name)


FILE: dict[str, Any] = {
    "chown": lambda ctx, file, owner: File(Op("chown", {"path": "", "owner": owner}, (file.op,)), file.name),
    "contents": contents,
    "digest": file_digest,
    "export": file_export,
    "name": lambda ctx, file: file.name,
    "size": file_size,
    "stat": file_stat,
    "sync": file_sync,
    "withName": lambda ctx, file, name: File(file.op, name),
    "withReplaced": replaced,
    "withTimestamps": lambda ctx, file, timestamp: File(
        Op("timestamps", {"seconds": timestamp}, (file.op,)), file.name
    ),
}
