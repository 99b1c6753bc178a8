"""Between folders and trees: taking a folder in, taking in what a step wrote, and writing a tree out to the host."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engine.errors import EngineError
from engine.layers import is_opaque
from engine.patterns import Patterns
from engine.store import Missing, Store, digest_of, remove_tree
from engine.tree import EMPTY, Entry, Node, file_entry, link_entry
from engine.trees import DEEPEST, Trees, parts_of
from engine.userns import owns_users

Owner = Callable[[os.stat_result], tuple[int, int]]


def as_found(found: os.stat_result) -> tuple[int, int]:
    return found.st_uid, found.st_gid


def _written(store: Store, path: Path, found: os.stat_result, owner: Owner) -> Entry:
    """A file that a step left, as a blob."""
    mode = stat.S_IMODE(found.st_mode)
    if not mode & 0o400 and not owns_users():
        os.chmod(path, mode | 0o400)
    entry = file_entry(digest_of(path), found.st_size, mode, *owner(found), found.st_mtime_ns)
    store.adopt(path, entry)
    return entry


def take_file(store: Store, path: Path, found: os.stat_result) -> Entry:
    """A file of the host, as a blob of root's. It may change meanwhile: what was read is what is kept."""
    entry = file_entry(digest_of(path), found.st_size, stat.S_IMODE(found.st_mode), 0, 0, found.st_mtime_ns)
    if store.intact(entry):
        return entry
    staged = store.staged()
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as source, staged.open("wb") as target:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
        entry = replace(entry, ref=digest.hexdigest(), key=digest.hexdigest(), size=size)
        store.adopt(staged, entry)
    except OSError as error:
        if error.filename == str(path):
            raise
        raise store.explained(error) from None
    finally:
        staged.unlink(missing_ok=True)
    return entry


def take_in(store: Store, folder: Path, include: Patterns, exclude: Patterns) -> Entry:
    """A folder of the host as a tree, owned by root as Dagger has it.

    Raises:
        EngineError: the folder is not there, or something in it cannot be read.
    """
    trees = Trees(store)

    def scan(here: Path, above: str) -> Entry | None:
        node: Node = {}
        for item in os.scandir(here):
            path = above + item.name
            wanted = (not include or include.match(path)) and not exclude.match(path)
            found = item.stat(follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                # Below an excluded folder nothing is kept, but where something in it is asked for by name.
                left_out = exclude.close(path) if include else exclude.match(path)
                if left_out or (include and not include.reach(path)):
                    continue
                below = scan(Path(item.path), path + "/")
                if below is not None or wanted:
                    node[item.name] = below or trees.directory({}, Entry("d", "", "", stat.S_IMODE(found.st_mode)))
            elif not wanted:
                continue
            elif stat.S_ISLNK(found.st_mode):
                node[item.name] = link_entry(os.readlink(item.path), 0, 0, found.st_mtime_ns)
            elif stat.S_ISREG(found.st_mode):
                node[item.name] = take_file(store, Path(item.path), found)
        if not node and above and (include or exclude):
            return None
        found = os.stat(here)
        like = Entry("d", "", "", stat.S_IMODE(found.st_mode) if above else 0o755, 0, 0, found.st_mtime_ns)
        return trees.directory(node, like)

    try:
        with store.transaction():
            return scan(folder, "") or EMPTY
    except OSError as error:
        raise EngineError(f"{error.filename or folder}: {error.strerror}") from None


def absorb(store: Store, upper: Path, base: Entry, owner: Owner, stubs: set[str]) -> Entry:
    """The tree that a step left: what its overlay wrote into ``upper``, over ``base``.

    ``stubs`` are mount points that were made for the step; they are taken away where they are still empty.
    Files become names of blobs, so that ``upper`` can serve as a layer afterwards.
    """
    trees = Trees(store)

    def scan(here: Path, below: Entry | None, above: str) -> Entry:
        if above.count("/") > DEEPEST:
            raise EngineError(f"a step left more than {DEEPEST} folders in one another: {above[:60]}…")
        found = os.lstat(here)
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o700 != 0o700 and not owns_users():
            os.chmod(here, mode | 0o700)
        node = {} if is_opaque(here) or below is None or below.kind != "d" else dict(trees.node(below))
        for item in list(os.scandir(here)):
            path = f"{above}/{item.name}"
            status = item.stat(follow_symlinks=False)
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                node.pop(item.name, None)
            elif stat.S_ISDIR(status.st_mode):
                child = scan(Path(item.path), node.get(item.name), path)
                if path in stubs and not trees.node(child):
                    with suppress(OSError):
                        os.rmdir(item.path)
                    continue
                node[item.name] = child
            elif stat.S_ISLNK(status.st_mode):
                node[item.name] = link_entry(os.readlink(item.path), *owner(status), status.st_mtime_ns)
            elif stat.S_ISREG(status.st_mode):
                if path in stubs and status.st_size == 0:
                    os.unlink(item.path)
                    continue
                node[item.name] = _written(store, Path(item.path), status, owner)
        uid, gid = owner(found)
        if not above:
            if node == trees.node(base):
                return base
            uid, gid, mode = base.uid, base.gid, base.mode
        return trees.directory(node, Entry("d", "", "", mode, uid, gid, found.st_mtime_ns))

    with store.transaction():
        return scan(upper, base, "")


def export(store: Store, root: Entry, folder: Path, wipe: bool = False) -> None:
    """Copy a tree out to the host, over what is there; with ``wipe`` what the tree lacks is removed.

    Raises:
        EngineError: the folder cannot be written.
    """
    trees = Trees(store)

    def copy(entry: Entry, here: Path) -> None:
        here.mkdir(parents=True, exist_ok=True)
        node = trees.node(entry)
        if wipe:
            for item in os.scandir(here):
                if item.name not in node:
                    _remove(Path(item.path))
        for name, child in node.items():
            path = here / name
            if child.kind == "d":
                if path.is_symlink() or (path.exists() and not path.is_dir()):
                    path.unlink()
                copy(child, path)
                os.chmod(path, child.mode)
                continue
            if path.is_symlink() or path.exists():
                _remove(path)
            if child.kind == "l":
                os.symlink(child.ref, path)
            else:
                export_file(store, child, path)

    try:
        copy(root, folder)
    except OSError as error:
        raise EngineError(f"cannot write {error.filename or folder}: {error.strerror}") from None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink()


def export_file(store: Store, entry: Entry, path: Path) -> None:
    """One file to the host, whole or not at all; its bytes are checked on the way."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    digest = hashlib.sha256()
    try:
        with store.ensure(entry).open("rb") as source, staged.open("wb") as target:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                target.write(chunk)
        if digest.hexdigest() != entry.ref:
            raise Missing(f"blob {entry.ref[:12]} in the store is damaged")
        os.chmod(staged, entry.mode)
        os.utime(staged, ns=(entry.mtime, entry.mtime))
        os.replace(staged, path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def make_folders(trees: Trees, root: Entry, upper: Path, path: str, owner: tuple[int, int]) -> None:
    """Folders that the root lacks, made in the upper folder of its overlay; those above that it has stay as they are."""
    names = parts_of(trees.aim(root, path))
    for n in range(1, len(names) + 1):
        folder = upper.joinpath(*names[:n])
        if folder.exists():
            continue
        found = trees.find(root, "/".join(names[:n]), follow=False)
        folder.mkdir()
        os.chmod(folder, found.mode if found else 0o755)
        if owns_users():
            os.chown(folder, *((found.uid, found.gid) if found else owner))
