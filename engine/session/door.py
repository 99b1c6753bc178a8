"""HTTP/1.1 for a session: who may ask, one query a request, and no answer for a client that has left."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import h11

from engine.session.answer import Answers, problem

#: Bytes of a request's body, and of its head.
LARGEST_BODY = 256 << 20
_LARGEST_HEAD = 1 << 16
_HOSTS = ("127.0.0.1", "localhost")


class Door:
    """Where clients come in: with the token they get their answers, without it a refusal."""

    def __init__(self, answers: Answers, token: str) -> None:
        self._answers, self._token = answers, token

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEAD)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except h11.RemoteProtocolError as error:
            with suppress(ConnectionError, h11.LocalProtocolError):
                await _send(connection, writer, error.error_status_hint, problem(f"not HTTP: {error}"))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # The session ends; asyncio's streams would report a connection that is cancelled as an error.
            return
        finally:
            writer.close()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request and its answer; whether another can follow on the connection."""
        request: h11.Request | None = None
        body = bytearray()
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                connection.receive_data(await reader.read(1 << 18))
            elif isinstance(event, h11.Request):
                request = event
                refused = self._refused(request)
                if refused is not None:
                    status, data = refused
                    await _send(connection, writer, status, b"" if request.method == b"HEAD" else data)
                    return False
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > LARGEST_BODY:
                    await _send(connection, writer, 413, problem(f"a request has at most {LARGEST_BODY} bytes"))
                    return False
            else:
                return False
        assert request is not None
        answered = await self._unless_gone(self._answers.respond(bytes(body)), connection, reader)
        if answered is None:
            return False
        await _send(connection, writer, *answered)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _unless_gone(
        self, work: Coroutine[Any, Any, tuple[int, bytes]], connection: h11.Connection, reader: asyncio.StreamReader
    ) -> tuple[int, bytes] | None:
        """The answer, or None when the client leaves before it is there: what only it waited for is then cancelled."""
        answer = asyncio.ensure_future(work)
        more = asyncio.ensure_future(reader.read(1 << 16))
        try:
            await asyncio.wait({answer, more}, return_when=asyncio.FIRST_COMPLETED)
            if more.done() and (early := more.result()):
                connection.receive_data(early)
                return await answer
            return await answer if answer.done() else None
        finally:
            for task in (answer, more):
                task.cancel()
            await asyncio.gather(answer, more, return_exceptions=True)

    def _refused(self, request: h11.Request) -> tuple[int, bytes] | None:
        """Why a request is not served: not from this machine's programs, not with the token, or not a query."""
        headers = dict(request.headers)
        host = headers.get(b"host", b"").decode("latin-1").rsplit(":", 1)[0]
        origin = headers.get(b"origin", b"http://localhost").decode("latin-1").partition("://")[2].partition(":")[0]
        if host not in _HOSTS or origin not in _HOSTS:
            return 403, problem("the session serves programs of this machine, not web pages: Host must be 127.0.0.1")
        if not self._knows_token(headers.get(b"authorization", b"")):
            return 401, problem("the session token is missing or wrong")
        if request.target.partition(b"?")[0] != b"/query":
            return 404, problem("only /query is served here")
        if request.method != b"POST":
            return 405, problem("a query is sent by POST")
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            return 415, problem("a query is sent as application/json")
        return None

    def _knows_token(self, authorization: bytes) -> bool:
        """Whether the token is the user name of Basic authentication (RFC 7617), as Dagger's SDKs send it."""
        scheme, _, coded = authorization.partition(b" ")
        try:
            user = base64.b64decode(coded.strip(), validate=True).partition(b":")[0]
        except binascii.Error:
            user = b""
        return scheme.lower() == b"basic" and hmac.compare_digest(user, self._token.encode())


async def _send(connection: h11.Connection, writer: asyncio.StreamWriter, status: int, data: bytes) -> None:
    headers = [("content-type", "application/json"), ("content-length", str(len(data)))]
    if status == 401:
        headers.append(("www-authenticate", 'Basic realm="Dagger session"'))
    if connection.their_state is not h11.DONE:
        headers.append(("connection", "close"))
    events = (h11.Response(status_code=status, headers=headers), h11.Data(data=data), h11.EndOfMessage())
    # In one piece: the kernel holds a second small one back until the first is acknowledged, which takes it 40 ms.
    writer.write(b"".join(connection.send(event) or b"" for event in events))
    await writer.drain()
