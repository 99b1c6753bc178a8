"""The store: blobs, nodes, layers, cache volumes and remembered results, under one folder of the user's cache.

Everything appears by an atomic rename or one SQLite transaction, blobs before the nodes that name them and nodes
before the results that name those: a kill at any moment leaves a store that is valid. What a session relies on it
writes down beside its temporary folder before it looks (``hold``), so that upkeep by another process leaves it alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from engine import home
from engine.errors import EngineError
from engine.index import Index, Missing
from engine.locks import Locks
from engine.tree import EMPTY, EMPTY_NODE, Entry, Node, decode
from engine.userns import owns_users

__all__ = ["Missing", "Store", "digest_of", "remove_tree"]

_HELD = "held"


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_tree(path: Path) -> None:
    """Remove a folder whose subfolders may forbid it to their owner."""
    with suppress(OSError):
        shutil.rmtree(path)
        return
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)


class Store:
    """One store. Safe for several threads and for several processes at once."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(home.default_root())
        home.make(str(self.root))
        try:
            self.locks = Locks(self.root / "lock")
            self.tmp, self._alive = self._session()
            self._holding = os.open(self.tmp / _HELD, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise home.unusable(str(self.root), error) from None
        self._blobs = f"{self.root}/blobs/"
        self._lock = threading.RLock()
        self._inside = threading.local()
        self._nodes: dict[str, Node] = {EMPTY_NODE[0]: {}}
        self._held: set[str] = set()
        self.trusted: set[str] = set()
        self.index = Index(self.root / "index.sqlite")
        self.index.keep_node(EMPTY.ref, EMPTY_NODE[2])

    def _session(self) -> tuple[Path, int]:
        """A temporary folder of this session, locked for as long as it lives; an end to those of dead sessions."""
        dead = []
        with self.locks.held("sessions"):
            for old in (self.root / "tmp").iterdir():
                with suppress(OSError):
                    descriptor = os.open(old, os.O_RDONLY | os.O_CLOEXEC)
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        dead.append((old, descriptor))
                    except OSError:
                        os.close(descriptor)
            folder = Path(tempfile.mkdtemp(dir=self.root / "tmp"))
            alive = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(alive, fcntl.LOCK_SH)
        for old, descriptor in dead:
            remove_tree(old)
            os.close(descriptor)
        return folder, alive

    def close(self) -> None:
        self.index.close()
        remove_tree(self.tmp)
        # A thread that was left behind finds no descriptor, not another file's under the same number.
        holding, self._holding = self._holding, -1
        os.close(holding)
        os.close(self._alive)

    def folder(self) -> Path:
        """A new, empty folder of this session."""
        try:
            return Path(tempfile.mkdtemp(dir=self.tmp))
        except OSError as error:
            raise self.explained(error) from None

    def staged(self) -> Path:
        """A path in this session's folder that nothing uses yet."""
        return self.tmp / f"staged-{threading.get_ident()}-{time.monotonic_ns()}"

    def explained(self, error: OSError) -> EngineError:
        """What an error of the operating system means to the store's user, or to whoever named the file."""
        if error.filename and not str(error.filename).startswith(str(self.root)):
            return EngineError(f"{error.filename}: {error.strerror}")
        gone = "" if self.tmp.is_dir() else " (its folder was removed while it was in use; run again)"
        return EngineError(f"the engine's store at {self.root} cannot be used: {error.strerror or error}{gone}")

    def is_full(self) -> bool:
        """Whether its disk has room for next to nothing."""
        with suppress(OSError):
            disk = os.statvfs(self.root)
            return disk.f_bavail * disk.f_frsize < 1 << 20
        return False

    # what this session relies on

    def hold(self, *names: str) -> None:
        """Note things (``b`` blob, ``n`` node, ``l`` layer, ``v`` volume) that upkeep must leave while this session lives."""
        fresh = [name for name in names if name not in self._held]
        if fresh:
            with self._lock:
                os.write(self._holding, "".join(f"{name}\n" for name in fresh).encode())
                self._held.update(fresh)

    @contextmanager
    def gate(self) -> Iterator[None]:
        """While it is entered, upkeep removes nothing: what is held and then found, stays."""
        if getattr(self._inside, "gate", False):
            yield
            return
        with self.locks.held("sweep", shared=True):
            self._inside.gate = True
            try:
                yield
            finally:
                self._inside.gate = False

    def held_by_others(self) -> set[str]:
        """What the living sessions beside this one hold."""
        names: set[str] = set()
        for folder in (self.root / "tmp").iterdir():
            if folder != self.tmp:
                with suppress(OSError):
                    names.update((folder / _HELD).read_text().split("\n"))
        return names

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Many nodes and blobs of one thread as one write; kept even where the work fails, as they are true anyway."""
        with self.gate(), self.index.batch():
            try:
                yield
            except OSError as error:
                if error.filename and not str(error.filename).startswith(str(self.root)):
                    raise
                raise self.explained(error) from None

    # nodes

    def node(self, ref: str) -> Node:
        """The entries of a directory.

        Raises:
            Missing: the store has it not, or damaged.
        """
        found = self._nodes.get(ref)
        if found is not None:
            return found
        with self.gate():
            self.hold("n " + ref)
            data = self.index.node(ref)
        if data is None:
            raise self.missing(f"node {ref[:12]}")
        return self._known(ref, decode(data))

    def _known(self, ref: str, node: Node) -> Node:
        with self._lock:
            if len(self._nodes) > 200_000:
                self._nodes = {EMPTY_NODE[0]: {}}
            self._nodes[ref] = node
        return node

    def keep(self, ref: str, data: bytes) -> None:
        if ref not in self._nodes:
            with self.gate():
                self.hold("n " + ref)
                self.index.keep_node(ref, data)
            self._known(ref, decode(data))

    def missing(self, what: str) -> Missing:
        """The error that something is gone; from now on the session takes nothing for granted."""
        with self._lock:
            self.trusted.clear()
            self._nodes = {EMPTY_NODE[0]: {}}
        return Missing(f"{what} is not in the store, or damaged there")

    def whole(self, entry: Entry) -> bool:
        """Whether every blob of a tree is there; each directory is looked through once a session.

        Raises:
            Missing: a node of it is gone.
        """
        with self.gate():
            return self._all_there(entry)

    def _all_there(self, entry: Entry) -> bool:
        if entry.kind != "d":
            return entry.kind == "l" or self.intact(entry)
        if entry.ref not in self.trusted:
            if not all(self._all_there(child) for child in self.node(entry.ref).values()):
                return False
            self.trusted.add(entry.ref)
        return True

    # results

    def recall(self, key: str) -> Any:
        return self.index.recall(key)

    def remember(self, key: str, value: Any, stage: str = "") -> None:
        self.index.remember(key, value, stage)

    def forget(self, key: str) -> None:
        self.index.forget(key)

    # blobs

    def blob_name(self, entry: Entry) -> str:
        """The path of a file's bytes below ``blobs``. One inode has one mode, owner and time: they are part of it."""
        return f"{entry.ref[:2]}/{entry.ref[2:]}.{entry.mode:o}.{entry.uid}.{entry.gid}.{entry.mtime:x}"

    def blob_path(self, entry: Entry) -> Path:
        return self.root / "blobs" / self.blob_name(entry)

    def intact(self, entry: Entry) -> bool:
        """Whether there is a blob of this size and time; its bytes are checked when they are used."""
        name = self.blob_name(entry)
        try:
            with nullcontext() if "b " + name in self._held else self.gate():
                self.hold("b " + name)
                found = os.lstat(self._blobs + name)
        except OSError:
            return False
        return found.st_size == entry.size and found.st_mtime_ns == entry.mtime

    def adopt(self, path: Path, entry: Entry) -> None:
        """Make the file at ``path``, whose digest was just taken, the blob of an entry and a second name of it."""
        with self.gate():
            if not self.intact(entry):
                target = self.blob_path(entry)
                target.parent.mkdir(exist_ok=True)
                staged = self.staged()
                try:
                    os.link(path, staged)
                except OSError:
                    shutil.copyfile(path, staged)
                self._dress(staged, entry)
                os.replace(staged, target)
                self.read_whole(os.lstat(target), entry.ref)
            else:
                self._dress(path, entry)
            self.read_whole(os.lstat(path), entry.ref)

    def _dress(self, path: Path, entry: Entry) -> None:
        if owns_users():
            os.chown(path, entry.uid, entry.gid)
        os.chmod(path, entry.mode)
        os.utime(path, ns=(entry.mtime, entry.mtime))

    def write(self, data: bytes, entry: Entry) -> None:
        """Keep bytes as the blob of an entry."""
        if self.intact(entry):
            return
        staged = self.staged()
        try:
            staged.write_bytes(data)
            self.adopt(staged, entry)
        except OSError as error:
            raise self.explained(error) from None
        finally:
            staged.unlink(missing_ok=True)

    def other_copy(self, entry: Entry) -> Path | None:
        """Any blob of the same bytes, whatever its mode and times."""
        folder = self.root / "blobs" / entry.ref[:2]
        for path in folder.glob(f"{entry.ref[2:]}.*") if folder.is_dir() else ():
            if path.stat().st_size == entry.size:
                return path
        return None

    # bytes: read whole once, and trusted for as long as the inode did not change

    def read_whole(self, found: os.stat_result, digest: str) -> None:
        """Note that an inode, as ``found``, has these bytes. No program can set the time of an inode's change back."""
        self.index.keep_inode(found.st_ino, found.st_ctime_ns, digest)

    def unchanged(self, path: Path, found: os.stat_result, digest: str | None = None) -> bool:
        """Whether a file still has the bytes that were read from its inode before, and they are those of ``digest``."""
        known = self.index.inode(found.st_ino)
        if known is not None and known[0] == found.st_ctime_ns:
            return digest is None or known[1] == digest
        wanted = digest or (known[1] if known else None)
        if wanted is None or digest_of(path) != wanted:
            return False
        self.read_whole(found, wanted)
        return True

    def ensure(self, entry: Entry) -> Path:
        """The blob's path, made from another of the same bytes where only its mode or times differ.

        Raises:
            Missing: the store has no intact copy.
        """
        path = self.blob_path(entry)
        with self.gate():
            if self.intact(entry) and self.unchanged(path, os.lstat(path), entry.ref):
                return path
            path.unlink(missing_ok=True)
            source = self.other_copy(entry)
            if source is None or digest_of(source) != entry.ref:
                if source is not None:
                    source.unlink(missing_ok=True)
                raise self.missing(f"blob {entry.ref[:12]}")
            staged = self.staged()
            shutil.copyfile(source, staged)
            self._dress(staged, entry)
            os.replace(staged, path)
            self.read_whole(os.lstat(path), entry.ref)
        return path

    def read(self, entry: Entry) -> bytes:
        """The bytes of a file, checked against their digest."""
        data = self.ensure(entry).read_bytes()
        if hashlib.sha256(data).hexdigest() != entry.ref:
            self.blob_path(entry).unlink(missing_ok=True)
            raise self.missing(f"blob {entry.ref[:12]}")
        return data
