"""Fields of ``File``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from engine import folders
from engine.api.directories import TYPES
from engine.api.objects import File, Record, identify, named, record
from engine.api.search import search_file
from engine.errors import EngineError
from engine.graph import Op
from engine.session.execute import Context
from engine.tree import content_key


async def contents(ctx: Context, file: File, offsetLines: int | None = None, limitLines: int | None = None) -> str:
    data: bytes = ctx.solver.store.read(await ctx.solver.solve(file.op))
    if offsetLines is not None or limitLines is not None:
        lines = data.split(b"\n")
        kept = [line + b"\n" for line in lines[:-1]] + lines[-1:]
        first = max(offsetLines or 0, 0)
        data = b"".join(kept[first:] if limitLines is None or limitLines < 0 else kept[first : first + limitLines])
    return data.decode("utf-8", "replace")


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
    return path


async def file_sync(ctx: Context, file: File) -> str:
    await ctx.solver.solve(file.op)
    return identify(ctx, "File", file)


async def file_size(ctx: Context, file: File) -> int:
    return int((await ctx.solver.solve(file.op)).size)


async def file_digest(ctx: Context, file: File, excludeMetadata: bool = False) -> str:
    entry = await ctx.solver.solve(file.op)
    return "sha256:" + (entry.ref if excludeMetadata else content_key(entry))


async def file_stat(ctx: Context, file: File) -> Record:
    entry = await ctx.solver.solve(file.op)
    return record(name=file.name, size=entry.size, permissions=entry.mode & 0o777, fileType=TYPES["f"][1])


def replaced(
    ctx: Context, file: File, search: str, replacement: str, all: bool = False, firstFrom: int | None = None
) -> File:
    arguments = {"search": search, "replacement": replacement, "every": all, "first_from": firstFrom}
    return File(Op("replaced", arguments, (file.op,)), file.name)


def with_name(ctx: Context, file: File, name: str) -> File:
    return File(file.op, named(name))


FIELDS: dict[str, Any] = {
    "chown": lambda ctx, file, owner: File(Op("chown", {"path": "", "owner": owner}, (file.op,)), file.name),
    "contents": contents,
    "digest": file_digest,
    "export": file_export,
    "name": lambda ctx, file: file.name,
    "search": search_file,
    "size": file_size,
    "stat": file_stat,
    "sync": file_sync,
    "withName": with_name,
    "withReplaced": replaced,
    "withTimestamps": lambda ctx, file, timestamp: File(
        Op("timestamps", {"seconds": timestamp}, (file.op,)), file.name
    ),
}
