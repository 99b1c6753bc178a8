"""Layers: folders that an overlay joins to a tree, and how a change of one on the disk is noticed.

A layer's listing says of every name in it what the kernel says, the inode included; the bytes of an inode are known
from when it was last read whole (``Store.unchanged``). Both are looked over once a session, before a step sees them.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.store import Missing, Store, remove_tree
from engine.tree import Entry
from engine.trees import Trees
from engine.userns import owns_users

OPAQUE = "user.overlay.opaque"
#: One mount's options end at a page (4 KiB), which holds about this many paths: longer chains are laid out anew.
_LONGEST_OPTIONS = 3800
_MOST = 24


def is_opaque(folder: str | Path) -> bool:
    try:
        return os.getxattr(folder, OPAQUE) == b"y"
    except OSError:
        return False


def _lines(folder: str, above: str, files: list[tuple[str, os.stat_result]]) -> Iterator[list[object]]:
    yield [above, "opaque" if is_opaque(folder) else "d", *_meta(os.lstat(folder))]
    for item in sorted(os.scandir(folder), key=lambda item: item.name):
        found = item.stat(follow_symlinks=False)
        path = f"{above}/{item.name}"
        if stat.S_ISDIR(found.st_mode):
            yield from _lines(item.path, path, files)
        elif stat.S_ISLNK(found.st_mode):
            yield [path, os.readlink(item.path), *_meta(found)]
        else:
            if stat.S_ISREG(found.st_mode):
                files.append((item.path, found))
            yield [path, found.st_ino, found.st_size, found.st_rdev, *_meta(found)]


def _meta(found: os.stat_result) -> tuple[int, ...]:
    return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns


def _listing(folder: Path) -> tuple[str, list[tuple[str, os.stat_result]]]:
    """``(digest of the listing, its regular files)``."""
    digest, files = hashlib.sha256(), list[tuple[str, os.stat_result]]()
    for line in _lines(str(folder), "", files):
        digest.update(json.dumps(line).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest(), files


def add(store: Store, folder: Path) -> str:
    """Move a folder in as a layer, and its name; the digests of its files are known to the store already."""
    name = os.urandom(6).hex()
    store.hold("l " + name)
    listing, _ = _listing(folder)
    store.index.set_listing(name, listing)
    os.rename(folder, store.root / "layers" / name)
    return name


def _sound(store: Store, name: str) -> bool:
    if "sound " + name in store.trusted:
        return True
    folder = store.root / "layers" / name
    try:
        listing, files = _listing(folder)
        if listing != store.index.listing(name):
            return False
        with store.index.batch():
            if not all(store.unchanged(Path(path), found) for path, found in files):
                return False
    except OSError:
        return False
    store.trusted.add("sound " + name)
    return True


def known(store: Store, root: Entry) -> list[str] | None:
    """Names of the layers, top first, that together are a tree; none where there are none, or one was changed."""
    with store.gate():
        names = store.index.layers(root.ref)
        if names is None:
            return None
        store.hold(*("l " + name for name in names))
        if all(_sound(store, name) for name in names):
            return names
    store.index.drop_layers(root.ref)
    return None


def joined(store: Store, tree: Entry, name: str, below: list[str]) -> None:
    """A tree is that of ``below`` with a layer on top."""
    store.index.set_layers(tree.ref, [name, *below])


def _write_out(store: Store, root: Entry, folder: Path) -> None:
    """Lay a whole tree out in an empty folder, files as further names of their blobs."""
    trees = Trees(store)
    owned = owns_users()
    lost: list[Missing] = []

    def lay(entry: Entry, here: Path) -> None:
        for name, child in trees.node(entry).items():
            path = here / name
            if child.kind == "d":
                path.mkdir()
                lay(child, path)
            elif child.kind == "l":
                os.symlink(child.ref, path)
                if owned:
                    os.lchown(path, child.uid, child.gid)
                os.utime(path, ns=(child.mtime, child.mtime), follow_symlinks=False)
            else:
                try:
                    os.link(store.ensure(child), path)
                    store.read_whole(os.lstat(path), child.ref)
                except Missing as missing:
                    lost.append(missing)
        if owned:
            os.chown(here, entry.uid, entry.gid)
        os.chmod(here, entry.mode)
        os.utime(here, ns=(entry.mtime, entry.mtime))

    lay(root, folder)
    if lost:
        # All at once, so that one more try makes all of them anew.
        raise lost[0]


def laid_out(store: Store, root: Entry) -> list[Path]:
    """Folders, top first, that an overlay joins to the tree. Damage is noticed once a session and made good.

    Raises:
        Missing: bytes of the tree are gone, or damaged beyond what the store can make good.
    """

    def usable() -> list[Path] | None:
        names = known(store, root)
        if names is None or len(names) > _MOST:
            return None
        paths = [store.root / "layers" / name for name in names]
        return paths if sum(len(str(path)) + 1 for path in paths) < _LONGEST_OPTIONS else None

    if (paths := usable()) is not None:
        return paths
    with store.locks.held("layer " + root.ref):
        if (paths := usable()) is not None:
            return paths
        folder = store.folder()
        try:
            with store.transaction():
                _write_out(store, root, folder)
        except BaseException:
            remove_tree(folder)
            raise
        name = add(store, folder)
        store.index.set_layers(root.ref, [name])
        store.trusted.add("sound " + name)
    return [store.root / "layers" / name]
