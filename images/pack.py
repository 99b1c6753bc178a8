"""``python3 -m images.pack SPEC OUT``: a tree to a layer, ``OUT/blobs/sha256/HEX``, and what it is, ``OUT/layer.json``.

A layer is a step of its own, so that it is made once, however many images hold it and whatever else changes in them.
Whatever the tree's size, a chunk of it is in memory.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from images import elf
from images.digest import Digest
from images.errors import ImageError
from images.layer import LEVEL, Layer, LayerSpec, write_layer
from images.packages import packages

KEYS = {"name", "source", "prefix", "uid", "gid", "exclude", "directories", "mtime", "level"}
BLOBS, RECORD = "blobs/sha256", "layer.json"


def check(described: dict[str, Any]) -> None:
    """Raises ImageError for a key that a layer's description does not have."""
    if unknown := set(described) - KEYS:
        raise ImageError(f"layer {described.get('name')!r} has unknown keys: {', '.join(sorted(unknown))}")


def pack(described: dict[str, Any], blobs: Path) -> dict[str, Any]:
    """Write the layer into a folder under its digest; its record: the fields of `Layer`, ``holds`` (its packages) and
    ``programs`` (by ``BITS/MACHINE`` the first program for it, see `images.elf`).

    Raises:
        ImageError: see `write_layer`.
    """
    spec = LayerSpec(
        described["name"],
        Path(described["source"]),
        described.get("prefix", ""),
        described.get("uid", 0),
        described.get("gid", 0),
        tuple(described.get("exclude", ())),
        tuple((path, int(mode, 8), uid, gid) for path, mode, uid, gid in described.get("directories", ())),
        int(described.get("mtime", 0)),
        int(described.get("level", LEVEL)),
    )
    staged = blobs / f".{Digest.of(spec.name.encode()).hex}"
    layer = write_layer(spec, staged)
    staged.rename(blobs / Digest.parse(layer.digest).hex)
    return {**asdict(layer), "holds": packages(spec.source), "programs": programs(spec.source)}


def programs(tree: Path) -> dict[str, str]:
    """The first program or library of a tree for each machine."""
    found: dict[str, str] = {}
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                machine = elf.machine(file.read(elf.HEADER))
            if machine:
                found.setdefault(f"{machine[0]}/{machine[1]}", str(path.relative_to(tree)))
    return found


def layer_of(record: dict[str, Any]) -> Layer:
    """The layer that a record is about.

    Raises:
        ImageError: it is no record of a layer.
    """
    try:
        return Layer(**{key: value for key, value in record.items() if key not in ("holds", "programs")})
    except TypeError as error:
        raise ImageError(f"{record!r:.80} is no record of a layer: {error}") from None


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m images.pack", description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args(argv)
    blobs = options.out / BLOBS
    try:
        described = json.loads(options.spec.read_text())
        check(described)
        blobs.mkdir(parents=True)
        record = pack(described, blobs)
        (options.out / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    except (ImageError, OSError, ValueError) as error:
        print(f"pack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
