"""The store's index in SQLite: nodes, remembered results, which layers make a tree, and digests known of inodes.

Every row can be doubted: a node is named by its digest, a result carries one, and a file that SQLite finds damaged is
set aside and begun anew. What is lost with it is work, never truth.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import EngineError

_SCHEMA = """
create table if not exists nodes (ref text primary key, data blob not null) without rowid;
create table if not exists outcomes (key text primary key, value text not null, seal text not null,
  stage text not null, used real not null) without rowid;
create table if not exists stacks (ref text primary key, names text not null) without rowid;
create table if not exists folders (name text primary key, listing text not null) without rowid;
create table if not exists inodes (number integer primary key, changed integer not null, digest text not null);
create table if not exists volumes (name text primary key, key text not null, used real not null) without rowid;
"""
_SUFFIXES = ("", "-wal", "-shm")


class Missing(EngineError):
    """Something that a result names is gone from the store or damaged; whoever asked makes it anew."""


class Result(NamedTuple):
    """One remembered outcome; ``used`` in seconds since 1970."""

    key: str
    value: Any
    stage: str
    used: float


class Index:
    """One connection for all threads of a process; other processes have theirs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._batch = threading.local()
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError as error:
            raise EngineError(f"the index of the engine's store cannot be opened: {self._path}: {error}") from None
        except sqlite3.DatabaseError:
            self._set_aside()
        try:
            return self._connect()
        except sqlite3.Error as error:
            raise EngineError(f"the index of the engine's store cannot be made: {self._path}: {error}") from None

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=60, isolation_level=None, check_same_thread=False)
        try:
            db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=normal")
            if db.execute("pragma user_version").fetchone()[0] != 2:
                db.executescript(_SCHEMA + "pragma user_version=2;")
            for table in ("nodes", "outcomes", "stacks"):
                db.execute(f"select * from {table} limit 1").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self) -> None:
        for suffix in _SUFFIXES:
            with suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").rename(f"{self._path}.damaged{suffix}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _ask(self, statement: str, values: tuple[Any, ...] = (), many: list[tuple[Any, ...]] | None = None) -> Any:
        """The rows of a statement, or how many rows it changed.

        Raises:
            Missing: the file is damaged; it was set aside, and all that it held is to be made anew.
            EngineError: the disk is full, or the file is gone or cannot be written.
        """
        try:
            with self._lock:
                if many is None:
                    cursor = self._db.execute(statement, values)
                    return cursor.fetchall() if cursor.description else cursor.rowcount
                self._db.execute("begin immediate")
                try:
                    self._db.executemany(statement, many)
                    self._db.execute("commit")
                except BaseException:
                    with suppress(sqlite3.Error):
                        self._db.execute("rollback")
                    raise
                return len(many)
        except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
            raise EngineError(f"the index of the engine's store cannot be used: {self._path}: {error}") from None
        except sqlite3.DatabaseError as error:
            with self._lock, suppress(sqlite3.Error):
                self._db.close()
                self._set_aside()
                self._db = self._connect()
            raise Missing(f"the index of the engine's store is damaged: {self._path}: {error}") from None

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Nodes and inodes that this thread keeps inside are written at the end, as one transaction."""
        if getattr(self._batch, "nodes", None) is not None:
            yield
            return
        self._batch.nodes, self._batch.inodes = [], []
        try:
            yield
        finally:
            nodes, inodes, self._batch.nodes = self._batch.nodes, self._batch.inodes, None
            if nodes:
                self._ask("insert or ignore into nodes values (?,?)", many=nodes)
            if inodes:
                self._ask("insert or replace into inodes values (?,?,?)", many=inodes)

    # nodes and inodes

    def node(self, ref: str) -> bytes | None:
        rows = self._ask("select data from nodes where ref=?", (ref,))
        if not rows:
            return None
        if hashlib.sha256(rows[0][0]).hexdigest() != ref:
            self._ask("delete from nodes where ref=?", (ref,))
            return None
        data: bytes = rows[0][0]
        return data

    def keep_node(self, ref: str, data: bytes) -> None:
        if getattr(self._batch, "nodes", None) is not None:
            self._batch.nodes.append((ref, data))
        else:
            self._ask("insert or ignore into nodes values (?,?)", (ref, data))

    def inode(self, number: int) -> tuple[int, str] | None:
        """``(change time in ns, digest)`` of an inode when it was last read whole."""
        rows = self._ask("select changed, digest from inodes where number=?", (number,))
        return rows[0] if rows else None

    def keep_inode(self, number: int, changed: int, digest: str) -> None:
        if getattr(self._batch, "nodes", None) is not None:
            self._batch.inodes.append((number, changed, digest))
        else:
            self._ask("insert or replace into inodes values (?,?,?)", (number, changed, digest))

    # results

    def recall(self, key: str) -> Any:
        rows = self._ask("select value, seal from outcomes where key=?", (key,))
        if not rows:
            return None
        if rows[0][1] != _seal(key, rows[0][0]):
            self.forget(key)
            return None
        self._ask("update outcomes set used=? where key=?", (time.time(), key))
        return json.loads(rows[0][0])

    def remember(self, key: str, value: Any, stage: str) -> None:
        text = json.dumps(value)
        row = (key, text, _seal(key, text), stage, time.time())
        self._ask("insert or replace into outcomes values (?,?,?,?,?)", row)

    def forget(self, key: str) -> None:
        self._ask("delete from outcomes where key=?", (key,))

    def results(self, since: float = 0.0) -> list[Result]:
        """Those used since a time, the last used first."""
        rows = self._ask(
            "select key, value, seal, stage, used from outcomes where used>=? order by used desc", (since,)
        )
        return [
            Result(key, json.loads(text), stage, used)
            for key, text, seal, stage, used in rows
            if seal == _seal(key, text)
        ]

    def oldest(self) -> float:
        """When the result was used that nobody used for longest; now, where there is none."""
        used: float | None = self._ask("select min(used) from outcomes")[0][0]
        return time.time() if used is None else used

    # layers and volumes

    def layers(self, ref: str) -> list[str] | None:
        rows = self._ask("select names from stacks where ref=?", (ref,))
        return json.loads(rows[0][0]) if rows else None

    def set_layers(self, ref: str, names: list[str]) -> None:
        self._ask("insert or replace into stacks values (?,?)", (ref, json.dumps(names)))

    def drop_layers(self, ref: str) -> None:
        self._ask("delete from stacks where ref=?", (ref,))

    def listing(self, name: str) -> str | None:
        rows = self._ask("select listing from folders where name=?", (name,))
        return rows[0][0] if rows else None

    def set_listing(self, name: str, listing: str) -> None:
        self._ask("insert or replace into folders values (?,?)", (name, listing))

    def use_volume(self, name: str, key: str) -> None:
        self._ask("insert or replace into volumes values (?,?,?)", (name, key, time.time()))

    def volumes(self) -> list[tuple[str, str, float]]:
        """``(name, key, used)``."""
        return [tuple(row) for row in self._ask("select name, key, used from volumes order by used desc")]

    # upkeep

    def drop_results(self, keys: Iterable[str]) -> None:
        self._ask("delete from outcomes where key=?", many=[(key,) for key in keys])

    def all_layers(self) -> list[tuple[str, list[str]]]:
        """``(tree's node, names of its layers)``."""
        return [(ref, json.loads(names)) for ref, names in self._ask("select ref, names from stacks")]

    def retain(self, nodes: set[str], layers: set[str], folders: set[str], volumes: set[str]) -> None:
        """Drop every row that is not named here."""
        for table, column, names in (
            ("nodes", "ref", nodes),
            ("stacks", "ref", layers),
            ("folders", "name", folders),
            ("volumes", "name", volumes),
        ):
            gone = [row for row in self._ask(f"select {column} from {table}") if row[0] not in names]
            self._ask(f"delete from {table} where {column}=?", many=gone)

    def compact(self) -> None:
        """Give the space of dropped rows back to the disk, when nobody else is writing."""
        with suppress(EngineError):
            self._ask("pragma wal_checkpoint(truncate)")
            self._ask("vacuum")


def _seal(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode("utf-8", "surrogateescape")).hexdigest()
