"""``python3 cargo_stubs.py FOLDER``: empty sources for a cargo workspace of which only the manifests are there.

Cargo reads a workspace only if the targets that its manifests name exist. With these it can fetch and compile the
dependencies before any source of the workspace is looked at, so that an edit of a source compiles none of them again.
Runs in a step; standard library only.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LIBRARY, _PROGRAM = "", "fn main() {}\n"
#: Tables of further targets and the folder in which cargo looks for one that names no path (The Cargo Book, Cargo
#: Targets).
_FOLDERS = {"bin": "src/bin", "example": "examples", "test": "tests", "bench": "benches"}


def stubs(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """``(path, text)`` of the sources that a package's manifest needs, relative to it."""
    if "package" not in manifest:
        return
    yield manifest.get("lib", {}).get("path", "src/lib.rs"), _LIBRARY
    build = manifest["package"].get("build")
    if isinstance(build, str):
        yield build, _PROGRAM
    for table, folder in _FOLDERS.items():
        for target in manifest.get(table, ()):
            yield target.get("path", f"{folder}/{target['name']}.rs"), _PROGRAM


def main() -> None:
    for path in Path(sys.argv[1]).rglob("Cargo.toml"):
        for name, text in stubs(tomllib.loads(path.read_text())):
            target = path.parent / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.write_text(text)


if __name__ == "__main__":
    main()
