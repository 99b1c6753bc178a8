"""Whether a folder's file system keeps what is written to it."""

from __future__ import annotations

from pathlib import Path

_VOLATILE = {"tmpfs", "ramfs"}


def outlives_a_restart(folder: Path) -> bool:
    """False where the folder lies on a file system in memory (as told by proc_mounts(5))."""
    target, best, kind = folder.absolute().resolve(), "", ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, type_, *_ = line.split(" ")
        place = place.encode().decode("unicode_escape")
        if target.is_relative_to(place) and len(place) >= len(best):
            best, kind = place, type_
    return kind not in _VOLATILE
