"""``python3 auditable.py METADATA OUT``: from ``cargo metadata`` to what a ``.dep-v0`` section holds.

The format is cargo-auditable's (rust-secure-code/cargo-auditable, PARSING.md): JSON, compressed by zlib. Runs as a step
in the Rust builder, so it needs the standard library alone.
"""

from __future__ import annotations

import json
import sys
import zlib
from typing import Any


def section(metadata: dict[str, Any]) -> bytes:
    """The section's bytes for the package that ``cargo metadata`` was asked about.

    What only the build runs (build scripts, procedural macros and all below them) is of kind ``build``.
    """
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    macros = {key for key, package in packages.items() if any("proc-macro" in t["kind"] for t in package["targets"])}

    def needed(key: str) -> list[tuple[str, bool]]:
        """``(package, needed by the build only)`` of each that a package depends on."""
        found = []
        for dependency in nodes[key]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]} - {"dev"}
            if kinds:
                found.append((dependency["pkg"], None not in kinds or dependency["pkg"] in macros))
        return found

    run, seen = set[str](), set[tuple[str, bool]]()
    pending = [(root, False)]
    while pending:
        key, build = pending.pop()
        if (key, build) in seen:
            continue
        seen.add((key, build))
        if not build:
            run.add(key)
        pending += [(other, build or only) for other, only in needed(key)]
    listed = sorted({key for key, _ in seen}, key=lambda k: (packages[k]["name"], packages[k]["version"], k))
    index = {key: number for number, key in enumerate(listed)}
    value = []
    for key in listed:
        package = packages[key]
        value.append(
            {
                "name": package["name"],
                "version": package["version"],
                "source": _source(package["source"]),
                **({} if key in run else {"kind": "build"}),
                "dependencies": sorted({index[other] for other, _ in needed(key)}),
                **({"root": True} if key == root else {}),
            }
        )
    return zlib.compress(json.dumps({"packages": value}, sort_keys=True, separators=(",", ":")).encode(), 9)


def _source(source: str | None) -> str:
    """Where a crate comes from. The public registry is one among others here: a mirror must not change the bytes."""
    if source is None:
        return "local"
    return "git" if source.startswith("git+") else "registry"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as metadata, open(sys.argv[2], "wb") as out:
        out.write(section(json.load(metadata)))
