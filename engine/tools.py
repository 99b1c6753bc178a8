"""The programs that the engine brings along, out of locked Debian packages: bubblewrap and util-linux's setpriv.

They run through their own package set's ``ld-linux``, so the machine's own libraries do not matter.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError
from engine.store import Store, remove_tree

LOCK = Path(__file__).parent.parent / "bases" / "sandbox.lock"


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the tools lie: a folder that holds an unpacked set of packages."""

    root: Path

    def program(self, name: str, root: Path | None = None) -> list[str]:
        """The words that start a program, as seen from where the folder is ``root``."""
        base = root or self.root
        loader = next((self.root / "usr/lib").glob("*-linux-gnu*/ld-linux*.so.*")).relative_to(self.root)
        libraries = base / loader.parent
        return [str(base / loader), "--library-path", str(libraries), str(base / "usr/bin" / name)]


def tools(store: Store, lock_file: Path = LOCK) -> Tools:
    """The tools of a lock, downloaded and unpacked when this store has them not yet.

    ``PIPELINES_SANDBOX_TOOLS`` names a folder that holds them unpacked already, for a site without a mirror.

    Raises:
        EngineError: a package cannot be had or is not the one that is locked.
    """
    if lock_file == LOCK and (given := os.environ.get("PIPELINES_SANDBOX_TOOLS")):
        return Tools(Path(given))
    try:
        text = lock_file.read_bytes()
    except OSError as error:
        raise EngineError(f"{lock_file}: {error.strerror}; the engine needs it to find its programs") from None
    folder = store.root / "tools" / hashlib.sha256(text).hexdigest()[:16]
    if folder.is_dir():
        return Tools(folder)
    from images.debian import deb, fetch, lock, mirror
    from images.errors import ImageError

    with store.locks.held("tools"):
        if folder.is_dir():
            return Tools(folder)
        staged = store.folder()
        try:
            locked = lock.read(lock_file)
            mirrors = mirror.mirrors(os.environ)
            for package in locked.packages:
                path = fetch.fetch(package, locked, mirrors, store.root / "tools")
                deb.extract(path, staged)
        except ImageError as error:
            remove_tree(staged)
            raise EngineError(f"the programs of {lock_file.name} cannot be set up: {error}") from error
        os.rename(staged, folder)
    return Tools(folder)
