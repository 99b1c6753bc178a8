"""The outermost layer (ASGI): request ids, limits of bodies, security headers, metrics, and the last net for exceptions."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from contextlib import suppress
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cift.api import problems
from cift.api.metrics import Metrics
from cift.logs import request_id

log = logging.getLogger("cift.api")
_ID = re.compile(rb"[A-Za-z0-9_.\-]{1,64}\Z")
_LINGER_BYTES = 32 << 20
_LINGER_SECONDS = 5.0
"""What of a body is read on after its request was refused."""
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, max_body: int, metrics: Metrics) -> None:
        self._app, self._max_body, self._metrics = app, max_body, metrics
        self._too_large = f"a body may have {max_body} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"])
        name = given.get(b"x-request-id", b"")
        request = name.decode() if _ID.match(name) else secrets.token_hex(8)
        token = request_id.set(request)
        began, status, started, received = time.perf_counter(), 500, False, 0

        length = given.get(b"content-length", b"0")
        more = length != b"0" or b"transfer-encoding" in given

        async def limited() -> Message:
            nonlocal received, more
            message = await receive()
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
            if received > self._max_body:
                raise HTTPException(413, self._too_large)  # the one kind that FastAPI lets through from a body
            return message

        async def rest() -> None:
            """Read on what nobody wants: a connection that is closed on a client that still sends is reset, its answer lost."""
            nonlocal received, more
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    while more and received < _LINGER_BYTES:
                        message = await receive()
                        received += len(message.get("body", b""))
                        more = message.get("more_body", False)

        async def marked(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = [*message["headers"], (b"x-request-id", request.encode()), *_SECURITY]
            elif more and not message.get("more_body", False) and b"expect" not in given:
                await rest()
            await send(message)

        try:
            if length.isdigit() and int(length) > self._max_body:
                await self._answer(413, "content-too-large", self._too_large, scope, marked, started)
            else:
                await self._app(scope, limited, marked)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            detail = "this is our fault; the log has it under the request id"
            await self._answer(500, "internal", detail, scope, marked, started)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.request(scope["method"], route, status, seconds)
            if log.isEnabledFor(logging.DEBUG):
                fields = {
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "seconds": round(seconds, 6),
                }
                log.debug("request", extra={"fields": fields})
            request_id.reset(token)

    async def _answer(self, status: int, kind: str, detail: str, scope: Scope, send: Send, started: bool) -> None:
        if started:
            return
        headers = {"Connection": "close"} if status == 413 else None
        response = problems.response(problems.document(status, kind, detail), headers)

        async def nothing() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        await response(scope, nothing, send)
