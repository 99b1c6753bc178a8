"""Fields of ``Directory``."""

from __future__ import annotations

import asyncio
import posixpath
from pathlib import Path
from typing import Any

from engine import folders
from engine.api.objects import Directory, File, Record, identify, load, record
from engine.api.search import search
from engine.errors import EngineError
from engine.graph import Op
from engine.session.execute import Context
from engine.tree import Entry

TYPES = {"f": ("REGULAR_TYPE", "REGULAR"), "d": ("DIRECTORY_TYPE", "DIRECTORY"), "l": ("SYMLINK_TYPE", "SYMLINK")}

_LONGEST_NAME = 255


def rooted(op: Op, path: str) -> tuple[Op, str]:
    """The tree that a path is looked up in, and the path there: a directory of a tree is a place in it, out of which
    links and ``..`` lead into the rest of that tree."""
    if op.verb != "directory_of":
        return op, path
    return op.inputs[0], posixpath.normpath(f"/{op.args['path']}/{path}")


async def exists_in(ctx: Context, op: Op, path: str, expected: str, literal: bool) -> bool:
    if not path:
        return False
    op, at = rooted(op, path)
    root, trees = await ctx.solver.solve(op), ctx.solver.trees
    found: Entry | None = trees.find(root, at, follow=not literal and expected not in TYPES["l"])
    if found is None:
        above = trees.find(root, posixpath.dirname(at.rstrip("/")))
        if above is not None and above.kind != "d":
            raise EngineError(f"lstat {path}: not a directory")
    return found is not None and (not expected or expected in TYPES[found.kind])


async def stat_in(ctx: Context, op: Op, path: str, literal: bool) -> Record:
    op, inside = rooted(op, path)
    root = await ctx.solver.solve(op)
    found = ctx.solver.trees.locate(root, inside, not literal)
    if found is None or not path:
        raise EngineError(f"stat {path}: no such file or directory")
    at, entry = found
    return record(
        name=posixpath.basename(at) or "/",
        size=entry.size,
        permissions=entry.mode & 0o777,
        fileType=TYPES[entry.kind][1],
    )


async def entries(ctx: Context, tree: Directory, path: str = "") -> list[str]:
    op, inside = rooted(tree.op, path)
    root = await ctx.solver.solve(op)
    found = ctx.solver.trees.find(root, inside)
    if found is None:
        raise EngineError(f"{path}: no such file or directory")
    if found.kind != "d":
        raise EngineError(f"{path} is not a directory")
    return [name + "/" * (e.kind == "d") for name, e in sorted(ctx.solver.trees.node(found).items())]


async def glob(ctx: Context, tree: Directory, pattern: str) -> list[str]:
    if not pattern:
        raise EngineError("a glob needs a pattern")
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
    here = posixpath.normpath("/" + start).strip("/")
    while True:
        candidate = f"{here}/{name}".lstrip("/")
        if ctx.solver.trees.find(root, candidate) is not None:
            return candidate
        if not here:
            return None
        here = posixpath.dirname(here)


def _made(tree: Directory, verb: str, arguments: dict[str, Any], *sources: Op) -> Directory:
    return Directory(Op(verb, arguments, (tree.op, *sources)), tree.name)


def with_directory(
    ctx: Context,
    tree: Directory,
    path: str,
    source: str,
    exclude: list[str] | None = None,
    include: list[str] | None = None,
    gitignore: bool = False,
    owner: str = "",
    permissions: int | None = None,
) -> Directory:
    arguments = {
        "path": path,
        "include": include or [],
        "exclude": exclude or [],
        "use_gitignore": gitignore,
        "owner": owner,
        "mode": permissions,
    }
    return _made(tree, "put_directory", arguments, load(ctx, source, "Directory").op)


def with_file(
    ctx: Context, tree: Directory, path: str, source: str, permissions: int | None = None, owner: str = ""
) -> Directory:
    file = load(ctx, source, "File")
    into = path.endswith(("/", "/."))
    arguments = {"path": path, "mode": permissions, "owner": owner, "name": file.name, "into": into}
    return _made(tree, "put_file", arguments, file.op)


def with_files(
    ctx: Context, tree: Directory, path: str, sources: list[str], permissions: int | None = None
) -> Directory:
    for source in sources:
        at = posixpath.join(path, load(ctx, source, "File").name)
        tree = with_file(ctx, tree, at, source, permissions)
    return tree


def with_new_file(ctx: Context, tree: Directory, path: str, contents: str, permissions: int = 0o644) -> Directory:
    if len(posixpath.basename(path.rstrip("/"))) > _LONGEST_NAME:
        raise EngineError(f"File name length exceeds the maximum supported {_LONGEST_NAME} characters")
    made = Op("bytes", {"data": contents, "mode": permissions & 0o777 or 0o644})
    return _made(tree, "write_file", {"path": path}, made)


def without(ctx: Context, tree: Directory, path: str) -> Directory:
    return without_files(ctx, tree, [path])


def without_files(ctx: Context, tree: Directory, paths: list[str]) -> Directory:
    return _made(tree, "remove", {"paths": paths})


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
    name = posixpath.basename(posixpath.normpath("/" + path)) or "/"
    op, inside = rooted(tree.op, path)
    return Directory(Op("directory_of", {"path": inside}, (op,)), name)


async def file_at(ctx: Context, tree: Directory, path: str) -> File:
    """Looked up at once, as Dagger does, so that a missing file is an error of this field."""
    op, inside = rooted(tree.op, path)
    op = Op("file_of", {"path": inside}, (op,))
    await ctx.solver.solve(op)
    return File(op, posixpath.basename(path))


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
    "search": search,
    "stat": lambda ctx, tree, path, doNotFollowSymlinks=False: stat_in(ctx, tree.op, path, doNotFollowSymlinks),
    "sync": sync,
    "withDirectory": with_directory,
    "withError": lambda ctx, tree, err: _made(tree, "error", {"message": err}) if err else tree,
    "withFile": with_file,
    "withFiles": with_files,
    "withNewDirectory": lambda ctx, tree, path, permissions=0o644: _made(
        tree, "make_directory", {"path": path, "mode": permissions & 0o777}
    ),
    "withNewFile": with_new_file,
    "withSymlink": lambda ctx, tree, target, linkName: _made(tree, "symlink", {"path": linkName, "target": target}),
    "withTimestamps": lambda ctx, tree, timestamp: _made(tree, "timestamps", {"seconds": timestamp}),
    "withoutDirectory": without,
    "withoutFile": without,
    "withoutFiles": without_files,
}
