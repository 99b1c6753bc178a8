"""HTTP/1.1 and WebSockets as uvicorn speaks them, with limits: how large a head may be, how long a request may take to come,
how long a client that is closed may take to hear of it.

Every client that says something wrong, or stops in the middle, is told so once, as a problem document, before it is cut off.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from cift.api import problems

MAX_HEAD = 32 << 10
"""Bytes of request line and headers, and of what follows a body (RFC 9112, section 7.1.2)."""
MAX_MESSAGE = 64 << 20
"""Bytes of a request in all; what a body may hold is less, and checked where it is read."""
SECONDS = 20.0
"""From the first byte of a request, or from the connection, to the request's last byte; as long may an answer find nobody who reads."""
FAREWELL = 10.0
"""Seconds that a client has to take what was sent to it, and the reason why it is closed."""


class _Joined:
    """A transport that holds back what is written first, an answer's head, until its body follows: one write instead of two."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""
        self.write = self._hold

    def _hold(self, data: bytes) -> None:
        self._head, self.write = data, self._join

    def _join(self, data: bytes) -> None:
        self.write = self._transport.write
        self.write(self._head + data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    async def send(self, message: Any) -> None:
        if not self.response_started and self.scope["method"] != "HEAD":
            self.transport = cast(asyncio.Transport, _Joined(self.transport))
        await super().send(message)


def _reset(transport: asyncio.Transport) -> None:
    """Cut a client off; without a linger of zero the kernel would offer it for ever what it does not take (socket(7))."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Connection(HttpToolsProtocol):
    """One client."""

    _received = 0
    _beside_body = 0
    """Bytes since the head was complete, or a piece of the body came."""
    _in_head = True
    _begun = False
    _ended = False
    _refused = False
    _timer: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(SECONDS, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._stuck is not None:
            self._stuck.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._ended = False
        self._received += len(data)
        self._beside_body += len(data)
        super().data_received(data)
        if self._ended:  # only what begins and does not end in one piece is counted: the rest is as small as a piece
            self._received = self._beside_body = 0
        if self._refused or self.transport.is_closing():
            return
        if not self._begun:
            self._disarm()
        elif self._timer is None:
            self._timer = self.loop.call_later(SECONDS, self._too_late)
        if self._begun and self._beside_body > MAX_HEAD:
            what = (
                "the head of a request" if self._in_head else "what stands between the chunks of a body or after them"
            )
            self._refuse(431, f"{what} may have {MAX_HEAD} bytes")
        elif self._begun and self._received > MAX_MESSAGE:
            self._refuse(413, f"a request may have {MAX_MESSAGE} bytes in all")

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        self._begun = False
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(SECONDS, _reset, self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def shutdown(self) -> None:
        super().shutdown()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = self.loop.call_later(FAREWELL, _reset, self.transport)

    def eof_received(self) -> bool:  # type: ignore[override]
        if self._refused:
            return False
        if self._begun:
            self._refuse(400, "the request ended in the middle")
        elif self._answering():
            self.cycle.keep_alive = False  # it has asked, and only listens now
        else:
            return False
        return not self._refused and not self.transport.is_closing()

    def on_message_begin(self) -> None:
        self._begun = self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers are read by nobody, and need not be kept
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False
        self._beside_body = 0

    def on_body(self, body: bytes) -> None:
        self._beside_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._begun, self._ended = False, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "this is no HTTP/1.1 request")

    def _too_late(self) -> None:
        self._timer = None
        if self._begun:
            self._refuse(408, f"the request did not come within {SECONDS:g} s")
        elif self.cycle is None:
            self.transport.close()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer what will never be a request, unless an answer has begun, and close.

        What still comes is passed over until the client has heard: closed at once, it would be reset, and its answer lost.
        """
        self._disarm()
        if self._in_head and self._answering():
            self.cycle.keep_alive = False  # what came before it is answered first, and is the last
            self.flow.pause_reading()
            return
        cycle = None if self._in_head else self.cycle
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        if not self.transport.is_closing() and (cycle is None or not cycle.response_started):
            answer = problems.response(problems.of_status(status, detail), {"Connection": "close"})
            head = b"".join(b"%s: %s\r\n" % header for header in answer.raw_headers)
            self.transport.write(STATUS_LINE[status] + head + b"\r\n" + bytes(answer.body))
            self.transport.write_eof()
            self._refused = True
            self.flow.resume_reading()
            self._timer = self.loop.call_later(FAREWELL, _reset, self.transport)
        else:
            self.transport.close()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Stream(WebSocketsSansIOProtocol):
    """One client of a WebSocket. uvicorn would wait for ever until one that does not read takes what ends its connection."""

    _end: asyncio.TimerHandle | None = None

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close" and self.handshake_complete:
            self.writable.set()  # the reason goes behind what waits already: its task has nothing else to wait for
            self._say_farewell()
        await super().send(message)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._say_farewell()

    def shutdown(self) -> None:
        super().shutdown()
        self._say_farewell()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def _say_farewell(self) -> None:
        if self._end is None:
            self._end = self.loop.call_later(FAREWELL, _reset, self.transport)
