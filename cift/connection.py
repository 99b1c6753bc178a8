"""HTTP/1.1 as uvicorn speaks it, with limits: how large a request's head may be, how long a request may take to come.

Every client that says something wrong, or stops in the middle, is told so once, as a problem document, before it is cut off.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from cift.api import problems

MAX_HEAD = 32 << 10
"""Bytes of request line and headers."""
MAX_MESSAGE = 64 << 20
"""Bytes of a request in all; what a body may hold is less, and checked where it is read."""
SECONDS = 20.0
"""From the first byte of a request, or from the connection, to the request's last byte."""


class Connection(HttpToolsProtocol):
    """One client."""

    _received = 0
    _in_head = True
    _begun = False
    _ended = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(SECONDS, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._ended = False
        super().data_received(data)
        # Only what begins and does not end in one piece is counted: the rest is as small as a piece.
        self._received = 0 if self._ended else self._received + len(data)
        if self.transport.is_closing():
            return
        if not self._begun:
            self._disarm()
        elif self._timer is None:
            self._timer = self.loop.call_later(SECONDS, self._too_late)
        if self._begun and self._received > (MAX_HEAD if self._in_head else MAX_MESSAGE):
            self._refuse(431 if self._in_head else 413, f"the head of a request may have {MAX_HEAD} bytes")

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        self._begun = False
        super().handle_websocket_upgrade()

    def eof_received(self) -> bool:  # type: ignore[override]
        if self._begun:
            self._refuse(400, "the request ended in the middle")
        elif self._answering():
            self.cycle.keep_alive = False  # it has asked, and only listens now
        else:
            return False
        return not self.transport.is_closing()

    def on_message_begin(self) -> None:
        self._begun = self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False

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
        """Answer what will never be a request, unless an answer has begun, and close."""
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
        self.transport.close()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
