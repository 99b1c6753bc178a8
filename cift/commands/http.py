"""A small HTTP/1.1 client over asyncio for the commands that speak to a venue: one connection, kept alive, requests signed."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cift.errors import CiftError
from cift.use_cases.access import signature


class VenueError(CiftError):
    """The venue cannot be reached, or refuses what a command needs; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Login:
    """An API key and its secret; without one, requests come from a demo account."""

    key: str
    secret: str


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is parsed JSON; ``retry_after`` seconds, 0 where the venue named none."""

    status: int
    body: Any
    retry_after: float


class Client:
    """One connection to a venue; it is opened when it is needed, and again after it broke."""

    def __init__(self, url: str, login: Login | None = None, account: str = "demo") -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise VenueError(f"{url}: is no address of a venue; write http://127.0.0.1:8000")
        self._host, self._port = parts.hostname, parts.port or 80
        self._login, self._account = login, account
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, target: str, body: object = None) -> Answer:
        """The answer to a request.

        Raises:
            OSError, EOFError: the connection broke; whether the venue took the request is not known.
        """
        try:
            return await self._ask(method, target, b"" if body is None else json.dumps(body).encode())
        except BaseException:
            self.close()
            raise

    async def _ask(self, method: str, target: str, body: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = f"{method} {target} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Length: {len(body)}\r\n"
        if body:
            head += "Content-Type: application/json\r\n"
        writer.write(f"{head}{self._identity(method, target, body)}\r\n".encode() + body)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        data = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        parsed = json.loads(data) if "json" in headers.get("content-type", "") else data.decode("utf-8", "replace")
        return Answer(int(status.split(" ", 2)[1]), parsed, float(headers.get("retry-after", "0")))

    def _identity(self, method: str, target: str, body: bytes) -> str:
        if self._login is None:
            return f"CIFT-Demo-Account: {self._account}\r\n"
        now, nonce = str(time.time_ns() // 10**6), secrets.token_hex(16)
        signed = signature(self._login.secret.encode(), now, nonce, method, target, body)
        return f"CIFT-Key: {self._login.key}\r\nCIFT-Timestamp: {now}\r\nCIFT-Nonce: {nonce}\r\nCIFT-Signature: {signed}\r\n"

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
