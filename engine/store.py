"""The store: blobs, nodes, layers, cache volumes and remembered results, under one folder of the user's cache.

Everything appears by an atomic rename or one SQLite transaction, blobs before the nodes that name them and nodes
before the results that name those: a kill at any moment leaves a store that is valid.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.tree import EMPTY, EMPTY_NODE, Entry, Node, decode
from engine.userns import owns_users

_SCHEMA = """
create table if not exists nodes (ref text primary key, data blob not null) without rowid;
create table if not exists results (key text primary key, value text not null, stage text not null,
  made real not null, used real not null) without rowid;
create table if not exists layers (ref text primary key, names text not null, used real not null) without rowid;
"""
_CHUNK = 1 << 20


def default_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "pipelines-engine"


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
        self.root = root or default_root()
        try:
            for name in ("blobs", "layers", "volumes", "tmp", "locks", "tools"):
                (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise EngineError(
                f"the engine's store cannot be made at {self.root}: {error.strerror}; set XDG_CACHE_HOME to a folder "
                "that you can write"
            ) from None
        self._lock = threading.RLock()
        self._cache: dict[str, Node] = {EMPTY_NODE[0]: {}}
        self._checked: set[str] = set()
        self._db = self._open()
        self.keep(EMPTY.ref, EMPTY_NODE[2])
        self._session_folder()

    def _open(self) -> sqlite3.Connection:
        path = self.root / "index.sqlite"
        for attempt in (1, 2):
            try:
                db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
                db.execute("pragma journal_mode=wal")
                db.execute("pragma synchronous=normal")
                db.executescript(_SCHEMA)
                db.execute("select count(*) from results").fetchone()
                return db
            except sqlite3.DatabaseError as error:
                if attempt == 2 or isinstance(error, sqlite3.OperationalError):
                    raise EngineError(f"the index of the engine's store cannot be opened: {path}: {error}") from None
                for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
                    with suppress(FileNotFoundError):
                        (self.root / name).rename(self.root / f"{name}.damaged")
        raise AssertionError

    def _session_folder(self) -> None:
        """A temporary folder of this session, and an end to those whose session is dead."""
        for old in (self.root / "tmp").iterdir():
            with suppress(OSError):
                descriptor = os.open(old, os.O_RDONLY)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove_tree(old)
                finally:
                    os.close(descriptor)
        with self.locked("session"):
            self.tmp = Path(tempfile.mkdtemp(dir=self.root / "tmp"))
            self._alive = os.open(self.tmp, os.O_RDONLY)
            fcntl.flock(self._alive, fcntl.LOCK_SH)

    def close(self) -> None:
        remove_tree(self.tmp)
        os.close(self._alive)
        self._db.close()

    def folder(self) -> Path:
        """A new, empty folder of this session."""
        return Path(tempfile.mkdtemp(dir=self.tmp))

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """A lock among all processes that use this store."""
        path = self.root / "locks" / hashlib.sha256(name.encode()).hexdigest()[:32]
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    # nodes

    def node(self, ref: str) -> Node:
        with self._lock:
            found = self._cache.get(ref)
            if found is not None:
                return found
            row = self._db.execute("select data from nodes where ref=?", (ref,)).fetchone()
        if row is None:
            raise Missing(f"node {ref[:12]} is not in the store")
        if hashlib.sha256(row[0]).hexdigest() != ref:
            with self._lock:
                self._db.execute("delete from nodes where ref=?", (ref,))
            raise Missing(f"node {ref[:12]} in the store is damaged")
        node = decode(row[0])
        with self._lock:
            if len(self._cache) > 200_000:
                self._cache.clear()
            self._cache[ref] = node
        return node

    def keep(self, ref: str, data: bytes) -> None:
        with self._lock:
            if ref not in self._cache:
                self._db.execute("insert or ignore into nodes values (?,?)", (ref, data))
                self._cache[ref] = decode(data)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Many nodes as one write."""
        with self._lock:
            self._db.execute("begin")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                self._cache = {EMPTY_NODE[0]: {}}
                raise
            self._db.execute("commit")

    # results

    def recall(self, key: str) -> Any:
        with self._lock:
            row = self._db.execute("select value from results where key=?", (key,)).fetchone()
            if row is None:
                return None
            self._db.execute("update results set used=? where key=?", (time.time(), key))
        return json.loads(row[0])

    def remember(self, key: str, value: Any, stage: str = "") -> None:
        now = time.time()
        with self._lock:
            self._db.execute(
                "insert or replace into results values (?,?,?,?,?)", (key, json.dumps(value), stage, now, now)
            )

    def forget(self, key: str) -> None:
        with self._lock:
            self._db.execute("delete from results where key=?", (key,))

    def results(self) -> list[tuple[str, str, str, float, float]]:
        with self._lock:
            return list(self._db.execute("select key, value, stage, made, used from results"))

    # blobs

    def blob_path(self, entry: Entry) -> Path:
        """Where the bytes of a file entry lie. One inode has one mode, owner and time: they are part of the name."""
        meta = f"{entry.mode:o}.{entry.uid}.{entry.gid}.{entry.mtime:x}"
        return self.root / "blobs" / entry.ref[:2] / f"{entry.ref[2:]}.{meta}"

    def intact(self, entry: Entry) -> bool:
        try:
            found = os.lstat(self.blob_path(entry))
        except OSError:
            return False
        return found.st_size == entry.size and found.st_mtime_ns == entry.mtime

    def adopt(self, path: Path, entry: Entry) -> None:
        """Make the file at ``path`` the blob of an entry; the file becomes a second name of it."""
        target = self.blob_path(entry)
        if self.intact(entry):
            return
        target.parent.mkdir(exist_ok=True)
        staged = self.tmp / f"blob-{threading.get_ident()}-{time.monotonic_ns()}"
        try:
            os.link(path, staged)
        except OSError:
            shutil.copyfile(path, staged)
        self._dress(staged, entry)
        os.replace(staged, target)

    def _dress(self, path: Path, entry: Entry) -> None:
        if owns_users():
            os.chown(path, entry.uid, entry.gid)
        os.chmod(path, entry.mode)
        os.utime(path, ns=(entry.mtime, entry.mtime))

    def write(self, data: bytes, entry: Entry) -> None:
        """Keep bytes as the blob of an entry."""
        if self.intact(entry):
            return
        staged = self.tmp / f"blob-{threading.get_ident()}-{time.monotonic_ns()}"
        staged.write_bytes(data)
        self.adopt(staged, entry)
        staged.unlink()

    def other_copy(self, entry: Entry) -> Path | None:
        """Any blob of the same bytes, whatever its mode and times."""
        folder = self.root / "blobs" / entry.ref[:2]
        for path in folder.glob(f"{entry.ref[2:]}.*") if folder.is_dir() else ():
            if path.stat().st_size == entry.size:
                return path
        return None

    def ensure(self, entry: Entry) -> Path:
        """The blob's path, made from another of the same bytes where only its mode or times differ.

        Raises:
            Missing: the store has no intact copy.
        """
        path = self.blob_path(entry)
        if self.intact(entry):
            return path
        with suppress(FileNotFoundError):
            path.unlink()
        source = self.other_copy(entry)
        if source is None or digest_of(source) != entry.ref:
            raise Missing(f"blob {entry.ref[:12]} is not in the store, or damaged there")
        staged = self.tmp / f"blob-{threading.get_ident()}-{time.monotonic_ns()}"
        shutil.copyfile(source, staged)
        self._dress(staged, entry)
        os.replace(staged, path)
        return path

    def read(self, entry: Entry) -> bytes:
        """The bytes of a file, checked against their digest."""
        data = self.ensure(entry).read_bytes()
        if hashlib.sha256(data).hexdigest() != entry.ref:
            self.blob_path(entry).unlink(missing_ok=True)
            raise Missing(f"blob {entry.ref[:12]} in the store is damaged")
        return data

    # layers

    def layers(self, ref: str) -> list[str] | None:
        """Names of the layer folders, top first, that together are the tree of a node."""
        with self._lock:
            row = self._db.execute("select names from layers where ref=?", (ref,)).fetchone()
        if row is None:
            return None
        names: list[str] = json.loads(row[0])
        if all((self.root / "layers" / name).is_dir() for name in names):
            return names
        with self._lock:
            self._db.execute("delete from layers where ref=?", (ref,))
        return None

    def set_layers(self, ref: str, names: list[str]) -> None:
        with self._lock:
            self._db.execute("insert or replace into layers values (?,?,?)", (ref, json.dumps(names), time.time()))

    def add_layer(self, folder: Path) -> str:
        """Move a folder in as a layer; its name."""
        name = os.urandom(6).hex()
        os.rename(folder, self.root / "layers" / name)
        return name

    def drop_layers(self, ref: str) -> None:
        with self._lock:
            self._db.execute("delete from layers where ref=?", (ref,))

    def checked(self, ref: str) -> bool:
        """Whether this session has looked over the layers of a tree; from now on it has."""
        with self._lock:
            known = ref in self._checked
            self._checked.add(ref)
        return known

    # upkeep

    def clear(self, older_than: float = 0.0, stage: str | None = None) -> int:
        """Forget results not used for ``older_than`` seconds; how many. What nothing names any more is removed."""
        before = time.time() - older_than
        with self._lock:
            gone = self._db.execute(
                "delete from results where used<=? and (? is null or stage=?)", (before, stage, stage)
            ).rowcount
        if not older_than and stage is None:
            with self._lock:
                self._db.execute("delete from layers")
                self._db.execute("delete from nodes")
                self._cache = {EMPTY_NODE[0]: {}}
                self.keep(EMPTY.ref, EMPTY_NODE[2])
            for name in ("layers", "blobs", "volumes"):
                for path in (self.root / name).iterdir():
                    remove_tree(path)
        return gone


class Missing(EngineError):
    """Something that a result names is gone from the store or damaged; whoever asked makes it anew."""


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
