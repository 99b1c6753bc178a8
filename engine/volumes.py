"""Cache volumes: folders that outlive steps, and turns at those that not everybody may use at once (BuildKit's sharing).

SHARED is used by all at once, LOCKED by one step after another, and of a PRIVATE volume a step that finds it in use
gets an instance of its own, which later steps find again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine import folders
from engine.graph import CacheVolume, Container
from engine.userns import owns_users

if TYPE_CHECKING:
    from engine.solve import Solver

#: The instance of each volume that a step uses, by the volume's identity.
Turns = Mapping[str, int]
_STRICTEST = ("SHARED", "PRIVATE", "LOCKED")


def _folder(solver: Solver, volume: CacheVolume, instance: int) -> Path:
    name = hashlib.sha256(volume.identity.encode()).hexdigest()[:24] + (f".{instance}" if instance else "")
    return solver.store.root / "volumes" / name


@contextlib.asynccontextmanager
async def turns(solver: Solver, box: Container) -> AsyncIterator[Turns]:
    """The step's turn at each of its volumes, for as long as it is entered; what new ones begin with is solved.

    A step takes its turns before it takes a slot: who waits for another must not keep the other from running.
    """
    volumes = [mount.volume for mount in box.mounts if mount.volume is not None]
    sharing: dict[str, str] = {}
    for volume in volumes:
        sharing[volume.identity] = max(sharing.get(volume.identity, "SHARED"), volume.sharing, key=_STRICTEST.index)
    numbers = dict.fromkeys(sharing, 0)
    async with contextlib.AsyncExitStack() as stack:
        # Everybody in the same order, so that no two wait for each other.
        for key in sorted(sharing):
            if sharing[key] == "PRIVATE":
                while (lock := solver.store.locks.take(_lock(key, numbers[key]), wait=False)) is None:
                    numbers[key] += 1
                stack.callback(os.close, lock)
            else:
                shared = sharing[key] == "SHARED"
                await stack.enter_async_context(solver.store.locks.awaited(_lock(key, 0), shared=shared))
        for volume in volumes:
            if volume.source is not None and not _folder(solver, volume, numbers[volume.identity]).is_dir():
                await solver.solve(volume.source)
        yield numbers


def _lock(key: str, instance: int) -> str:
    return f"volume {instance} {key}"


async def folder_of(solver: Solver, volume: CacheVolume, owner: tuple[int, int] | None, taken: Turns) -> Path:
    """The volume's folder, made if it is new: a copy of its source, or empty, and its owner's."""
    folder = _folder(solver, volume, taken.get(volume.identity, 0))
    with solver.store.gate():
        solver.store.hold("v " + folder.name)
        there = folder.is_dir()
    solver.store.index.use_volume(folder.name, volume.identity)
    if not there:
        staged = solver.store.folder()
        if volume.source is not None:
            folders.export(solver.store, await solver.solve(volume.source), staged)
        os.chmod(staged, 0o755)
        if owner is not None and owns_users():
            os.chown(staged, *owner)
        with contextlib.suppress(OSError):
            os.rename(staged, folder)
    return folder
