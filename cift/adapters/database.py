"""The read model's tables, in SQLite or PostgreSQL: plain SQL over DB-API 2 (PEP 249), one text for both.

Quantities are lots, prices ticks, times nanoseconds. `progress` has one row: the last sequence that the tables hold, and
which journal they were filled from; it changes in the same transaction as they do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cift.errors import CiftError, Unavailable

ORDER_COLUMNS = [
    "id",
    "account",
    "created",
    "updated",
    "sequence",
    "expiry",
    "instrument",
    "side",
    "type",
    "tif",
    "self_trade",
    "flags",
    "status",
    "reason",
    "origin",
    "quantity",
    "display",
    "price",
    "stop_price",
    "remaining",
    "filled",
    "notional",
    "client_id",
]
TRADE_COLUMNS = [
    "id",
    "sequence",
    "time",
    "instrument",
    "side",
    "price",
    "quantity",
    "taker_order",
    "taker_account",
    "maker_order",
    "maker_account",
]
CANDLE_COLUMNS = ["instrument", "start", "open", "high", "low", "close", "volume", "trades"]
POSITION_COLUMNS = ["account", "instrument", "net", "cash", "open_buy", "open_sell"]
MINUTE = 60
_ROWS = 200
"""Rows of one INSERT."""

_TABLES = f"""
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY, sequence BIGINT NOT NULL, journal TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders ({", ".join(c + " BIGINT NOT NULL" for c in ORDER_COLUMNS[:-1])},
  client_id TEXT NOT NULL, PRIMARY KEY (id));
CREATE INDEX IF NOT EXISTS orders_of_account ON orders (account, id);
CREATE INDEX IF NOT EXISTS orders_by_client_id ON orders (account, client_id);
CREATE TABLE IF NOT EXISTS trades ({", ".join(c + " BIGINT NOT NULL" for c in TRADE_COLUMNS)}, PRIMARY KEY (id));
CREATE INDEX IF NOT EXISTS trades_of_instrument ON trades (instrument, id);
CREATE INDEX IF NOT EXISTS trades_of_taker ON trades (taker_account, id);
CREATE INDEX IF NOT EXISTS trades_of_maker ON trades (maker_account, id);
CREATE TABLE IF NOT EXISTS candles ({", ".join(c + " BIGINT NOT NULL" for c in CANDLE_COLUMNS)},
  PRIMARY KEY (instrument, start));
CREATE TABLE IF NOT EXISTS positions (account BIGINT NOT NULL, instrument BIGINT NOT NULL, net BIGINT NOT NULL,
  cash NUMERIC NOT NULL, open_buy BIGINT NOT NULL, open_sell BIGINT NOT NULL, PRIMARY KEY (account, instrument));
"""


class ReadModelError(CiftError):
    """The read model cannot be used as it is; the message says what to do."""


class Database:
    """One connection. Every error of a driver leaves it closed and comes out as Unavailable."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        """``timeout`` is seconds that a server may take for an answer, or another writer of SQLite for its work."""
        self._url, self._timeout = url, timeout
        self._connection: Any = None
        self._mark = "?"

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor; what was done with it is committed at the end, or nothing is.

        Raises:
            Unavailable: the database does not answer, or answers with an error.
        """
        try:
            if self._connection is None:
                self._connect()
            cursor = self._connection.cursor()
            yield cursor
            self._connection.commit()
        except (OSError, EOFError) as error:
            self.close()
            raise Unavailable(f"the read model cannot be reached: {type(error).__name__}") from None
        except Exception as error:
            self.close()
            if not type(error).__module__.startswith(("sqlite3", "pg8000")):
                raise
            raise Unavailable(f"the read model failed: {error}"[:300]) from None

    def _connect(self) -> None:
        if self._url.startswith("sqlite:"):
            path = Path(self._url.removeprefix("sqlite:///"))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=self._timeout, check_same_thread=False)
            # The journal is the truth: after a power cut the projector resumes from what is left.
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            return
        import pg8000.dbapi

        parts = urlsplit(self._url)
        self._mark = "%s"
        self._connection = pg8000.dbapi.connect(
            user=unquote(parts.username or "postgres"),
            password=unquote(parts.password) if parts.password else None,
            host=parts.hostname or "localhost",
            port=parts.port or 5432,
            database=unquote(parts.path.lstrip("/")) or "postgres",
            timeout=self._timeout,
            application_name="cift",
        )

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):  # it may be gone already
                self._connection.close()
            self._connection = None

    def create(self) -> None:
        """Make the tables that are missing."""
        with self.transaction() as cursor:
            for statement in _TABLES.split(";"):
                if statement.strip():
                    cursor.execute(statement)

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a SELECT whose parameters are question marks."""
        used_before = self._connection is not None
        try:
            return self._select(sql, values)
        except Unavailable:
            if not used_before:
                raise
            return self._select(sql, values)  # the server may have been started again since

    def _select(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self.transaction() as cursor:
            cursor.execute(sql.replace("?", self._mark), values)
            return [tuple(row) for row in cursor.fetchall()]

    def insert(
        self, cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], conflict: str
    ) -> None:
        """Insert rows, many to a statement; ``conflict`` is what follows ON CONFLICT."""
        every = list(rows)
        for at in range(0, len(every), _ROWS):
            some = every[at : at + _ROWS]
            marks = ", ".join(["(" + ", ".join([self._mark] * len(columns)) + ")"] * len(some))
            sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {marks} ON CONFLICT {conflict}"
            cursor.execute(sql, [value for row in some for value in row])

    def execute(self, cursor: Any, sql: str, values: Sequence[Any] = ()) -> None:
        cursor.execute(sql.replace("?", self._mark), values)

    def progress(self) -> tuple[int, str]:
        """The last sequence that the tables hold, and the journal that they were filled from; 0 and nothing at first."""
        rows = self.query("SELECT sequence, journal FROM progress WHERE one = 1")
        return (int(rows[0][0]), str(rows[0][1])) if rows else (0, "")


def overwrite(key: str, columns: Sequence[str]) -> str:
    """ON CONFLICT: the new row wins."""
    keys = key.split(", ")
    changes = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in keys)
    return f"({key}) DO UPDATE SET {changes}"
