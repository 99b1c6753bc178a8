"""One matcher process owns the books; the workers of the API speak to it over a Unix socket.

Frames are JSON lines, answered in order on each connection. The books live in memory: a matcher that dies takes them
with it, and the next one starts empty under a new ``epoch``. It ends by itself once its last worker is gone.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LINGER = 2.0
_TAPE = 1000
_ACCOUNT = 1


def folder() -> Path:
    return Path(os.environ.get("CIFT_RUNTIME_DIR", "/tmp/cift"))


class Matcher:
    """The core, the numbers of its instruments, and the tapes by symbol."""

    def __init__(self) -> None:
        import cift_core

        self._names = cift_core
        self._core = cift_core.Core()
        self._numbers: dict[str, int] = {}
        self._tapes: dict[str, deque[Sequence[int]]] = {}
        self._sequence = self._last_order = 0
        self.epoch = time.time_ns()

    def _number(self, symbol: str) -> int:
        if symbol not in self._numbers:
            names = self._names
            self._numbers[symbol] = number = len(self._numbers) + 1
            self._tapes[symbol] = deque(maxlen=_TAPE)
            self._sequence += 1
            define = (self._sequence, 0, number, names.CommandKind.DEFINE, names.InstrumentState.OPEN)
            self._core.apply(struct.pack(names.INSTRUMENT_FORMAT, *define, 1, 1, 1, names.MAX_PRICE))
        return self._numbers[symbol]

    def _apply(self, *command: int) -> list[tuple[int, ...]]:
        """The events of a command that lacks its sequence and time."""
        self._sequence += 1
        events = self._core.apply(struct.pack(self._names.COMMAND_FORMAT, self._sequence, 0, *command))
        return list(struct.iter_unpack(self._names.EVENT_FORMAT, events))

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        symbol, names = request.get("symbol", ""), self._names
        number = self._number(symbol) if symbol else 0
        match request["do"]:
            case "submit":
                self._last_order = order = self._last_order + 1
                side = names.Side.BUY if request["buy"] else names.Side.SELL
                how = (names.OrderType.LIMIT, names.TimeInForce.GTC, names.SelfTrade.ALLOW, 0)
                price, quantity = request["price"], request["quantity"]
                what = (_ACCOUNT, order, quantity, 0, price, 0, 0)
                events = self._apply(number, names.CommandKind.NEW, side, *how, *what)
                # Trade id, maker, taker, price, quantity.
                trades = [[e[18], e[15], e[9], e[11], e[12]] for e in events if e[3] == names.EventKind.TRADE]
                self._tapes[symbol].extend(trades)
                return {"id": order, "remaining": events[-1][13], "trades": trades}
            case "cancel":
                what = (_ACCOUNT, request["id"], 0, 0, 0, 0, 0)
                (event,) = self._apply(number, names.CommandKind.CANCEL, 0, 0, 0, 0, 0, *what)
                return {"unknown": True} if event[3] == names.EventKind.REJECTED else {"remaining": event[12]}
            case "book":
                bids, asks = self._core.depth(number, request["depth"])
                return {"bids": bids, "asks": asks}
            case "trades":
                return {"trades": list(self._tapes[symbol])[-request["limit"] :][::-1]}
            case "ping":
                return {"epoch": self.epoch, "pid": os.getpid()}
        return {"error": "unknown request"}


async def serve(path: Path) -> None:
    """Serve until no worker has been connected for a while."""
    matcher, connected, last = Matcher(), 0, time.monotonic()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected, last
        connected += 1
        try:
            while line := await reader.readline():
                writer.write(json.dumps(matcher.answer(json.loads(line))).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            connected -= 1
            last = time.monotonic()
            writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(handle, path, backlog=128)
    path.chmod(0o600)
    async with server:
        while connected or time.monotonic() - last < _LINGER:
            await asyncio.sleep(0.2)


class Unavailable(Exception):
    """The matcher did not answer: the request may not have been taken."""


class Client:
    """A worker's connection; requests of one worker are sent one after another and answered in order."""

    def __init__(self) -> None:
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()

    async def ask(self, **request: Any) -> dict[str, Any]:
        """The matcher's answer.

        Raises:
            Unavailable: it died while it was asked, or cannot be started.
        """
        async with self._lock:
            reader, writer = self._streams or await self._connect()
            self._streams = (reader, writer)
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
                if not line:
                    raise ConnectionError
                answer: dict[str, Any] = json.loads(line)
                return answer
            except ConnectionError:
                self._streams = None
                raise Unavailable("the matcher is gone; nothing is known of this request") from None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        home = folder()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = home / "matcher.sock"
        for _ in range(100):
            try:
                return await asyncio.open_unix_connection(path, limit=1 << 24)
            except OSError:
                await self._start(home)
                await asyncio.sleep(0.05)
        raise Unavailable("the matcher cannot be started")

    async def _start(self, home: Path) -> None:
        """Start the matcher unless somebody else is at it: the process that holds the lock is the matcher."""
        with (home / "matcher.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "cift.adapters.matcher",
                str(lock.fileno()),
                pass_fds=[lock.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


if __name__ == "__main__":
    asyncio.run(serve(folder() / "matcher.sock"))
