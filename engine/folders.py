"""Between folders and trees: taking a folder in, taking in what a step wrote, and laying a tree out for a step."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.errors import EngineError
from engine.patterns import Patterns
from engine.store import Missing, Store, digest_of
from engine.tree import EMPTY, Entry, Node, file_entry, link_entry
from engine.trees import Trees
from engine.userns import owns_users

Owner = Callable[[os.stat_result], tuple[int, int]]
_OPAQUE = "user.overlay.opaque"


def as_found(found: os.stat_result) -> tuple[int, int]:
    return found.st_uid, found.st_gid


def as_root(found: os.stat_result) -> tuple[int, int]:
    return 0, 0


def _file(store: Store, path: Path, found: os.stat_result, owner: Owner, link: bool) -> Entry:
    mode = stat.S_IMODE(found.st_mode)
    if not mode & 0o400 and not owns_users():
        os.chmod(path, mode | 0o400)
    uid, gid = owner(found)
    entry = file_entry(digest_of(path), found.st_size, mode, uid, gid, found.st_mtime_ns)
    if link:
        store.adopt(path, entry)
    elif not store.intact(entry):
        store.write(path.read_bytes(), entry)
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
            wanted = (not include or include.match(path)) and not (exclude and exclude.match(path))
            found = item.stat(follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                if exclude and not wanted and exclude.match(path) and not include:
                    continue
                below = scan(Path(item.path), path + "/")
                if below is not None or wanted:
                    node[item.name] = below or trees.directory({}, Entry("d", "", "", stat.S_IMODE(found.st_mode)))
            elif not wanted:
                continue
            elif stat.S_ISLNK(found.st_mode):
                node[item.name] = link_entry(os.readlink(item.path), 0, 0, found.st_mtime_ns)
            elif stat.S_ISREG(found.st_mode):
                node[item.name] = _file(store, Path(item.path), found, as_root, link=False)
        if not node and above and (include or exclude):
            return None
        found = os.stat(here)
        like = Entry("d", "", "", stat.S_IMODE(found.st_mode), 0, 0, found.st_mtime_ns)
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
        found = os.lstat(here)
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o700 != 0o700 and not owns_users():
            os.chmod(here, mode | 0o700)
        opaque = False
        with suppress(OSError):
            opaque = os.getxattr(here, _OPAQUE) == b"y"
        node = {} if opaque or below is None or below.kind != "d" else dict(trees.node(below))
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
                node[item.name] = _file(store, Path(item.path), status, owner, link=True)
        uid, gid = owner(found)
        if not above:
            uid, gid, mode = base.uid, base.gid, base.mode
        return trees.directory(node, Entry("d", "", "", mode, uid, gid, found.st_mtime_ns))

    with store.transaction():
        return scan(upper, base, "")


def write_out(store: Store, root: Entry, folder: Path) -> None:
    """Lay a whole tree out in an empty folder, files as further names of their blobs."""
    trees = Trees(store)
    owned = owns_users()

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
                os.link(store.ensure(child), path)
        if owned:
            os.chown(here, entry.uid, entry.gid)
        os.chmod(here, entry.mode)
        os.utime(here, ns=(entry.mtime, entry.mtime))

    lay(root, folder)


def _sound(store: Store, root: Entry) -> bool:
    trees = Trees(store)
    return all(store.intact(entry) for _, entry in trees.walk(root) if entry.kind == "f")


def laid_out(store: Store, root: Entry, longest: int = 24) -> list[Path]:
    """Folders, top first, that an overlay joins to the tree. Damage is noticed once a session and made good.

    Raises:
        Missing: bytes of the tree are gone, or damaged beyond what the store can make good.
    """
    names = store.layers(root.ref)
    if names is not None and len(names) <= longest and (store.checked(root.ref) or _sound(store, root)):
        return [store.root / "layers" / name for name in names]
    with store.locked("layer " + root.ref):
        folder = store.folder()
        try:
            write_out(store, root, folder)
        except FileNotFoundError as error:
            raise Missing(f"{error.filename} is gone from the store") from None
        name = store.add_layer(folder)
        store.set_layers(root.ref, [name])
        store.checked(root.ref)
    return [store.root / "layers" / name]


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
    from engine.store import remove_tree

    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink()


def export_file(store: Store, entry: Entry, path: Path) -> None:
    """One file to the host, whole or not at all; its bytes are checked on the way."""
    import hashlib

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
