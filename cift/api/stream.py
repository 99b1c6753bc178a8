"""/v1/stream: market data and an account's orders over one WebSocket.

A client sends {"op": "subscribe", "channel": "book" | "trades", "symbol": …} or {"op": "subscribe", "channel": "orders"},
before the latter {"op": "authenticate", "key", "timestamp", "nonce", "signature"} (signed as GET /v1/stream with no body)
where there are API keys. A book begins with a snapshot; each change names the sequence of the message `previous` to it: if
that is not the last one's, or the checksum differs, unsubscribe and subscribe again. A client that lags is closed with 1013.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from cift.api import problems
from cift.api.context import Context
from cift.api.feed import Subscriber
from cift.api.metrics import Metrics
from cift.api.security import demo
from cift.domain.instruments import instrument
from cift.errors import CiftError, InvalidInput
from cift.use_cases import access
from cift.use_cases.access import KEY, NONCE, SIGNATURE, TIME, Principal, Unauthenticated

PATH = "/v1/stream"
TRY_AGAIN_LATER = 1013
POLICY_VIOLATION = 1008
MAX_MESSAGE = 4096
MAX_TOPICS = 64
_ATTEMPTS = 20
"""Messages that make no sense before the connection is closed."""

router = APIRouter()


class _Session:
    """One client: who it is, what it listens to."""

    def __init__(self, socket: WebSocket, ports: Context) -> None:
        self._socket, self._ports = socket, ports
        self._principal: Principal | None = None
        self.subscriber = Subscriber()
        self.topics: set[tuple[str, int]] = set()

    async def handle(self, text: str) -> dict[str, Any]:
        """The answer to a client's message.

        Raises:
            CiftError: it cannot be followed.
        """
        if len(text) > MAX_MESSAGE:
            raise InvalidInput(f"a message may have {MAX_MESSAGE} characters")
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidInput("the message is no JSON") from None
        if not isinstance(message, dict):
            raise InvalidInput("the message is no JSON object")
        match message.get("op"):
            case "ping":
                return {"type": "pong"}
            case "authenticate":
                self._principal = self._authenticated(message)
                return {"type": "authenticated", "account": self._principal.account_name}
            case "subscribe" | "unsubscribe" as what:
                topic = self._topic(message)
                named = {k: message[k] for k in ("channel", "symbol") if k in message}
                if what == "unsubscribe":
                    self.drop(topic)
                    return {"type": "unsubscribed", **named}
                if len(self.topics) >= MAX_TOPICS:
                    raise InvalidInput(f"at most {MAX_TOPICS} subscriptions")
                if topic not in self.topics:
                    self.topics.add(topic)
                    await self._ports.feed.subscribe(self.subscriber, topic)
                return {"type": "subscribed", **named}
        raise InvalidInput("op: is none of subscribe, unsubscribe, authenticate, ping")

    def drop(self, topic: tuple[str, int]) -> None:
        if topic in self.topics:
            self.topics.discard(topic)
            self._ports.feed.unsubscribe(self.subscriber, topic)

    def _authenticated(self, message: dict[str, Any]) -> Principal:
        if not self._ports.keys.any():
            name = message.get("account", "demo")
            return demo(name if isinstance(name, str) else "?")
        fields = {KEY: "key", TIME: "timestamp", NONCE: "nonce", SIGNATURE: "signature"}
        headers = {header: str(message[name]) for header, name in fields.items() if name in message}
        settings = self._ports.settings
        found = access.authenticate(
            self._ports.keys, self._ports.admission, headers, "GET", PATH, b"", time.time(), settings.clock_skew
        )
        access.require(found, "read")
        return found

    def _topic(self, message: dict[str, Any]) -> tuple[str, int]:
        match message.get("channel"):
            case "book" | "trades" as channel:
                symbol = message.get("symbol")
                if not isinstance(symbol, str):
                    raise InvalidInput("symbol: is missing")
                return channel, instrument(symbol).number
            case "orders":
                if self._principal is None:
                    if self._ports.keys.any():
                        raise Unauthenticated("the channel orders needs {op: authenticate} first")
                    self._principal = demo(None)
                return "orders", self._principal.account
        raise InvalidInput("channel: is none of book, trades, orders")


@router.websocket(PATH)
async def stream(socket: WebSocket) -> None:
    ports: Context = socket.app.state.context
    metrics: Metrics = socket.app.state.metrics
    if socket.scope.get("state", {}).get("draining"):
        ending = problems.document(503, "unavailable", "this worker is ending; connect again")
        await socket.send_denial_response(problems.response(ending, {"Retry-After": "1"}))
        return
    await socket.accept()
    session = _Session(socket, ports)
    metrics.listens(1)
    tasks = {
        asyncio.create_task(_read(socket, session)),
        asyncio.create_task(_write(socket, session.subscriber)),
        asyncio.create_task(session.subscriber.dropped.wait()),
    }
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if session.subscriber.dropped.is_set():
            metrics.dropped("slow")
    finally:
        metrics.listens(-1)
        for topic in list(session.topics):
            session.drop(topic)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(Exception):
            if session.subscriber.dropped.is_set():
                await socket.close(TRY_AGAIN_LATER, "too slow: messages were waiting; subscribe again for a snapshot")
            else:
                await socket.close(POLICY_VIOLATION, "too many messages that make no sense")


async def _read(socket: WebSocket, session: _Session) -> None:
    wrong = 0
    while wrong < _ATTEMPTS:
        try:
            received = await socket.receive()
            if received["type"] != "websocket.receive":
                return
            text = received.get("text")
            answer = await session.handle(text if isinstance(text, str) else "")
        except CiftError as error:
            wrong += 1
            answer = {"type": "error", "detail": str(error)}
        except WebSocketDisconnect:
            return
        session.subscriber.put(json.dumps(answer))


async def _write(socket: WebSocket, subscriber: Subscriber) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.send_text(await subscriber.next())
