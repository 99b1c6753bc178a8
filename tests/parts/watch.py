"""What processes show to others while something runs: command lines and environments, sampled."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def processes() -> Iterator[dict[str, set[bytes]]]:
    """What was seen, by ``cmdline`` and ``environ``, as ``NAME OF THE PROGRAM NUL CONTENT``.

    In the end without what was there before: the registries of the tests know their own login.
    """
    seen: dict[str, set[bytes]] = {"cmdline": set(), "environ": set()}
    stop = threading.Event()

    def sample(into: dict[str, set[bytes]]) -> None:
        for kind, found in into.items():
            for number in filter(str.isdigit, os.listdir("/proc")):
                process = Path("/proc", number)
                try:
                    found.add((process / "comm").read_bytes().strip() + b"\0" + (process / kind).read_bytes())
                except OSError:
                    continue

    def look() -> None:
        while not stop.wait(0.01):
            sample(seen)

    before: dict[str, set[bytes]] = {"cmdline": set(), "environ": set()}
    sample(before)
    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()
        for kind, found in before.items():
            seen[kind] -= found


def places(needle: bytes, folders: list[Path], but: tuple[Path, ...] = ()) -> list[Path]:
    """The files below folders that hold a text."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path not in but]
    return [path for path in files if needle in path.read_bytes()]
