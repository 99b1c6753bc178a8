"""Upkeep of a store: what it holds, and removing what is old or too much while others use it.

What stays: results that were used lately, all that they name, and all that a living session holds. The rest goes in
batches behind the gate that sessions pass when they take hold of something (``Store.gate``).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.home import Bounds
from engine.index import Result
from engine.store import Store, digest_of, remove_tree
from engine.tree import EMPTY, Entry, decode, entry_of

_EVERY = 3600.0
_BATCH = 500


@dataclass
class Stage:
    """What the results of one stage hold: ``alone`` are bytes that no other stage's results name."""

    steps: int = 0
    size: int = 0
    alone: int = 0
    used: float = 0.0


@dataclass(frozen=True)
class Report:
    """What a store holds; sizes in bytes, times in seconds since 1970."""

    stages: dict[str, Stage]
    volumes: list[dict[str, Any]]
    blobs: dict[str, int]
    layers: int
    unnamed: int
    root: str


@dataclass
class _Marked:
    """What results and sessions name."""

    nodes: set[str] = field(default_factory=set)
    blobs: dict[str, int] = field(default_factory=dict)
    contents: set[str] = field(default_factory=set)


def _entries(result: Result) -> Iterator[Entry]:
    value = result.value
    if isinstance(value, dict) and "root" in value:
        for row in (value["root"], *value.get("mounts", {}).values()):
            yield entry_of(row)


def _mark(store: Store, entries: Iterable[Entry], marked: _Marked) -> int:
    """Mark all that these entries name; the bytes of blobs that were not marked before."""
    more, todo = 0, list(entries)
    while todo:
        entry = todo.pop()
        if entry.kind == "f":
            name = store.blob_name(entry)
            if name not in marked.blobs:
                marked.blobs[name] = entry.size
                more += entry.size
        elif entry.kind == "d" and entry.ref not in marked.nodes:
            marked.nodes.add(entry.ref)
            data = store.index.node(entry.ref)
            todo += decode(data).values() if data is not None else ()
    return more


def _content(result: Result) -> str | None:
    """The digest of a downloaded file."""
    scheme, _, digest = result.key.partition(" ")
    return digest if scheme == "http" else None


def _digest(name: str) -> str:
    """The digest in a blob's name."""
    return name[:2] + name[3:65]


def _wanted(name: str, marked: _Marked) -> bool:
    return _digest(name) in marked.contents


def _on_disk(store: Store) -> Iterator[tuple[str, int]]:
    """``(name, size)`` of every blob."""
    for folder in os.scandir(store.root / "blobs"):
        for item in os.scandir(folder.path):
            try:
                yield f"{folder.name}/{item.name}", item.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue


def _folder_size(folder: Path) -> int:
    total = 0
    for here, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(here, name)).st_size
            except OSError:
                continue
    return total


def inspect(store: Store) -> Report:
    """What is held, by stage."""
    stages: dict[str, Stage] = {}
    marks: dict[str, _Marked] = {}
    disk, unnamed = dict(_on_disk(store)), 0
    for result in store.index.results():
        name = result.stage or ("(downloads)" if _content(result) else "(no stage)")
        stage, marked = stages.setdefault(name, Stage()), marks.setdefault(name, _Marked())
        stage.steps += 1
        stage.used = max(stage.used, result.used)
        _mark(store, _entries(result), marked)
        marked.contents |= {_content(result) or ""} - {""}
    for name, size in disk.items():
        owners = [s for s, marked in marks.items() if name in marked.blobs or _wanted(name, marked)]
        for owner in owners:
            stages[owner].size += size
            stages[owner].alone += size if len(owners) == 1 else 0
        unnamed += 0 if owners else size
    volumes = [
        {"key": key, "size": _folder_size(store.root / "volumes" / name), "used": used}
        for name, key, used in store.index.volumes()
    ]
    layers = sum(1 for _ in os.scandir(store.root / "layers"))
    blobs = {"count": len(disk), "size": sum(disk.values())}
    return Report(dict(sorted(stages.items())), volumes, blobs, layers, unnamed, str(store.root))


@dataclass(frozen=True)
class Cleared:
    """What was forgotten and removed, or would be."""

    results: int
    blobs: int
    layers: int
    volumes: int
    size: int


def clear(
    store: Store,
    older_than: float = 0.0,
    stage: str | None = None,
    keep_size: int | None = None,
    dry_run: bool = False,
) -> Cleared:
    """Forget results that were not used for ``older_than`` seconds, or the least lately used beyond ``keep_size`` bytes.

    With a ``stage`` only its results are forgotten. Then everything goes that no result and no living session names.
    """
    began = time.time()
    before = began - older_than
    aged = older_than > 0 or keep_size is None
    marked, total = _Marked(), 0
    kept, gone = list[Result](), list[Result]()
    held = store.held_by_others()
    volumes = {name: used for name, _, used in store.index.volumes()}
    all_volumes = {path.name for path in (store.root / "volumes").iterdir()}
    old_volumes = (
        set[str]() if stage is not None else {name for name in all_volumes if aged and volumes.get(name, 0.0) <= before}
    )
    if keep_size is not None:
        total = sum(_folder_size(store.root / "volumes" / name) for name in all_volumes - old_volumes)
    for result in store.index.results():
        candidate = stage is None or result.stage == stage
        if candidate and aged and result.used <= before:
            gone.append(result)
            continue
        total += _mark(store, _entries(result), marked)
        if keep_size is not None and candidate and total > keep_size:
            gone.append(result)
            continue
        kept.append(result)
    marked = _Marked()
    for result in kept:
        _mark(store, _entries(result), marked)
        marked.contents |= {_content(result) or ""} - {""}
    if not dry_run:
        store.index.drop_results([result.key for result in gone])
    return _sweep(store, marked, held, old_volumes, len(gone), began, dry_run)


def _sweep(
    store: Store, marked: _Marked, held: set[str], old_volumes: set[str], forgotten: int, began: float, dry_run: bool
) -> Cleared:
    def hold(names: set[str]) -> None:
        _mark(store, (Entry("d", name[2:], "") for name in names if name.startswith("n ")), marked)

    def spared(names: list[str]) -> list[str]:
        """Those that no session took hold of meanwhile; only true behind the gate."""
        now = store.held_by_others()
        hold(now - held)
        held.update(now)
        for result in store.index.results(since=began):
            _mark(store, _entries(result), marked)
            marked.contents |= {_content(result) or ""} - {""}
        return [n for n in names if n not in held and n[2:] not in marked.blobs and not _wanted(n[2:], marked)]

    hold({*held, f"n {EMPTY.ref}"})
    blobs = {
        f"b {name}": size
        for name, size in _on_disk(store)
        if name not in marked.blobs and f"b {name}" not in held and not _wanted(name, marked)
    }
    rows = dict(row for row in store.index.all_layers() if row[0] in marked.nodes)
    layers = {name for names in rows.values() for name in names} | {n[2:] for n in held if n.startswith("l ")}
    folders = [f"l {item.name}" for item in os.scandir(store.root / "layers") if item.name not in layers]
    places = [f"v {name}" for name in sorted(old_volumes)]
    if dry_run:
        return Cleared(forgotten, len(blobs), len(folders), len(places), sum(blobs.values()))
    count = {"b": 0, "l": 0, "v": 0}
    size, trash = 0, store.folder()
    todo = [*folders, *places, *blobs]
    for start in range(0, len(todo), _BATCH):
        with store.locks.held("sweep"):
            for name in spared(todo[start : start + _BATCH]):
                kind, path = name[0], name[2:]
                try:
                    if kind == "b":
                        os.unlink(store.root / "blobs" / path)
                        size += blobs[name]
                    else:
                        os.rename(
                            store.root / ("layers" if kind == "l" else "volumes") / path, trash / f"{kind}-{path}"
                        )
                except FileNotFoundError:
                    continue
                count[kind] += 1
    with store.locks.held("sweep"):
        spared([])
        rows = dict(row for row in store.index.all_layers() if row[0] in marked.nodes)
        present = {item.name for item in os.scandir(store.root / "layers")}
        left = {path.name for path in (store.root / "volumes").iterdir()}
        intact = {ref for ref, names in rows.items() if present.issuperset(names)}
        store.index.retain(marked.nodes, intact, present, left)
    remove_tree(trash)
    shutil.rmtree(store.root / "locks", ignore_errors=True)
    if forgotten:
        store.index.compact()
    return Cleared(forgotten, count["b"], count["l"], count["v"], size)


def verify(store: Store) -> list[str]:
    """Read every blob whole, drop those with other bytes than their name says, and their names.

    The store notices by itself when a program changed a file; this finds what the disk changed.
    """
    damaged = []
    with store.index.batch():
        for name, _ in list(_on_disk(store)):
            path = store.root / "blobs" / name
            try:
                found = os.lstat(path)
                digest = digest_of(path)
            except FileNotFoundError:
                continue
            if digest == _digest(name):
                store.read_whole(found, digest)
            else:
                path.unlink(missing_ok=True)
                damaged.append(name)
    return damaged


def tidy(store: Store, keep: Bounds) -> None:
    """What a session does as it ends, at most once an hour: look whether the store is within bounds, and clear it if not."""
    mark = store.root / "tidied"
    with suppress(FileNotFoundError):
        if time.time() - mark.stat().st_mtime < _EVERY:
            return
    mark.touch()
    size = sum(size for _, size in _on_disk(store))
    size += sum(_folder_size(store.root / "volumes" / name) for name, _, _ in store.index.volumes())
    oldest = min((used for _, _, used in store.index.volumes()), default=store.index.oldest())
    if size > keep.size or min(oldest, store.index.oldest()) < time.time() - keep.age:
        clear(store, older_than=keep.age, keep_size=keep.size)
