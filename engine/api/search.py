"""Searching files for a pattern, as Dagger does by ripgrep: matching lines, with where the matches stand in them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

from engine.api.objects import Directory, File, Record, record
from engine.errors import EngineError, Refused
from engine.patterns import Patterns
from engine.session.execute import Context
from engine.tree import Entry

_Options = dict[str, Any]


async def search(
    ctx: Context,
    tree: Directory,
    pattern: str,
    paths: list[str] | None = None,
    globs: list[str] | None = None,
    literal: bool = False,
    multiline: bool = False,
    dotall: bool = False,
    insensitive: bool = False,
    skipIgnored: bool = False,
    skipHidden: bool = False,
    filesOnly: bool = False,
    limit: int | None = None,
) -> list[Record]:
    if skipIgnored:
        raise Refused("Directory.search(skipIgnored)")
    expression = _compiled(pattern, literal, multiline, dotall, insensitive)
    root = await ctx.solver.solve(tree.op)
    files = _files(ctx, root, paths or [""], _globs(globs or []), skipHidden)
    return await asyncio.to_thread(_found, ctx, files, expression, multiline, filesOnly, limit)


async def search_file(
    ctx: Context,
    file: File,
    pattern: str,
    literal: bool = False,
    multiline: bool = False,
    dotall: bool = False,
    insensitive: bool = False,
    skipIgnored: bool = False,
    skipHidden: bool = False,
    filesOnly: bool = False,
    limit: int | None = None,
    paths: list[str] | None = None,
    globs: list[str] | None = None,
) -> list[Record]:
    del skipIgnored, skipHidden, paths, globs  # about which files to search: the file itself is named
    expression = _compiled(pattern, literal, multiline, dotall, insensitive)
    entry = await ctx.solver.solve(file.op)
    return await asyncio.to_thread(_found, ctx, iter([(file.name, entry)]), expression, multiline, filesOnly, limit)


def _compiled(pattern: str, literal: bool, multiline: bool, dotall: bool, insensitive: bool) -> re.Pattern[bytes]:
    flags = re.MULTILINE | (re.DOTALL if dotall and multiline else 0) | (re.IGNORECASE if insensitive else 0)
    try:
        return re.compile((re.escape(pattern) if literal else pattern).encode(), flags)
    except re.error as error:
        raise EngineError(f"{pattern!r} is not a regular expression: {error}") from None


def _globs(globs: list[str]) -> tuple[Patterns, Patterns]:
    """What a file has to match, and what it must not."""
    anywhere = [g if "/" in g else f"!**/{g[1:]}" if g.startswith("!") else f"**/{g}" for g in globs]
    return (
        Patterns([g for g in anywhere if not g.startswith("!")]),
        Patterns([g[1:] for g in anywhere if g.startswith("!")]),
    )


def _files(
    ctx: Context, root: Entry, paths: list[str], globs: tuple[Patterns, Patterns], skip_hidden: bool
) -> Iterator[tuple[str, Entry]]:
    for start in paths:
        found = ctx.solver.trees.find(root, start)
        if found is None:
            raise EngineError(f"{start}: no such file or directory")
        above = start.strip("/")
        below = [("", found)] if found.kind == "f" else ctx.solver.trees.walk(found)
        for path, entry in below:
            whole = "/".join(part for part in (above, path) if part)
            wanted, unwanted = globs
            hidden = any(part.startswith(".") for part in path.split("/"))
            if entry.kind != "f" or (skip_hidden and hidden) or (wanted and not wanted.match(whole)):
                continue
            if not unwanted.match(whole):
                yield whole, entry


def _found(
    ctx: Context,
    files: Iterator[tuple[str, Entry]],
    expression: re.Pattern[bytes],
    multiline: bool,
    files_only: bool,
    limit: int | None,
) -> list[Record]:
    out: list[Record] = []
    for path, entry in files:
        data: bytes = ctx.solver.store.read(entry)
        if b"\0" in data:
            continue
        for number, start, lines, matches in _matching(data, expression, multiline):
            if limit is not None and len(out) >= limit:
                return out
            submatches = [record(text=_text(m), start=at, end=at + len(m)) for at, m in matches]
            if files_only:
                out.append(record(filePath=path, lineNumber=0, absoluteOffset=0, matchedLines="", submatches=[]))
                break
            out.append(
                record(
                    filePath=path,
                    lineNumber=number,
                    absoluteOffset=start,
                    matchedLines=_text(lines),
                    submatches=submatches,
                )
            )
    return out


def _matching(
    data: bytes, expression: re.Pattern[bytes], multiline: bool
) -> Iterator[tuple[int, int, bytes, list[tuple[int, bytes]]]]:
    """``(line number, offset, lines, [(place in the lines, match)])`` of every line or run of lines that matches."""
    if not multiline:
        offset = 0
        for number, line in enumerate(data.splitlines(keepends=True), 1):
            if found := [(m.start(), m[0]) for m in expression.finditer(line.rstrip(b"\r\n"))]:
                yield number, offset, line, found
            offset += len(line)
        return
    for match in expression.finditer(data):
        start = data.rfind(b"\n", 0, match.start()) + 1
        end = data.find(b"\n", max(match.start(), match.end() - 1))
        lines = data[start : len(data) if end < 0 else end + 1]
        yield data.count(b"\n", 0, start) + 1, start, lines, [(match.start() - start, match[0])]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
