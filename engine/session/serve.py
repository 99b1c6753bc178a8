"""A session: an event loop in a thread, an HTTP server on loopback, a token."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import h11

from engine.errors import EngineError
from engine.events import Event
from engine.store import Store

LARGEST_BODY = 256 << 20


class Session:
    """A running session while its context is entered."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self.token = secrets.token_hex(16)
        self.port = 0
        self.store = Store()
        self._on_event = on_event
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a Dagger SDK reads to find the session."""
        return {"DAGGER_SESSION_PORT": str(self.port), "DAGGER_SESSION_TOKEN": self.token}

    def __enter__(self) -> Self:
        # Programs build long chains, which are deep queries; the parser recurses a few calls a level.
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
        self._thread.start()
        self._ready.wait()
        if self._problem is not None:
            raise EngineError(f"the session could not be started: {self._problem}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)
        self.store.close()

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._problem = error
            self._ready.set()

    async def _serve(self) -> None:
        from engine.api import RESOLVERS
        from engine.session.execute import Context, Schema
        from engine.session.surface import surface, version
        from engine.solve import Solver

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.solver = Solver(self.store, self._on_event)
        self._schema = Schema(surface(self.store.root), RESOLVERS)
        self._context = Context(self.solver, {}, "v" + version())
        self._connections: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        from engine.services import stop_all

        await stop_all(self.solver)
        others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 16)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (h11.RemoteProtocolError, ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # The session ends; asyncio's streams would report a connection that is cancelled as an error.
            return
        finally:
            writer.close()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request, body = None, bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(1 << 18)
                connection.receive_data(data)
                if not data and request is None:
                    return False
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > LARGEST_BODY:
                    await self._answer(connection, writer, 413, {"errors": [{"message": "the request is too large"}]})
                    return False
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        status, answer = await self._respond(request, bytes(body))
        await self._answer(connection, writer, status, answer)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(self, connection: h11.Connection, writer: asyncio.StreamWriter, status: int, answer: Any) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(data)))]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=data), h11.EndOfMessage()):
            sent = connection.send(event)
            if sent:
                writer.write(sent)
        await writer.drain()

    def _allowed(self, request: h11.Request) -> bool:
        given = dict(request.headers).get(b"authorization", b"")
        wanted = b"Basic " + base64.b64encode(self.token.encode() + b":")
        return hmac.compare_digest(given, wanted)

    async def _respond(self, request: h11.Request, body: bytes) -> tuple[int, Any]:
        from engine.session.execute import execute

        if not self._allowed(request):
            return 401, {"errors": [{"message": "the session token is missing or wrong"}]}
        if request.target.split(b"?")[0] != b"/query" or request.method != b"POST":
            return 404, {"errors": [{"message": "only POST /query is served here"}]}
        try:
            payload = json.loads(body)
            if not isinstance(payload, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            return 400, {"errors": [{"message": f"the request is not JSON: {error}"}]}
        query = payload.get("query")
        if isinstance(query, str) and "__schema" in query:
            return 200, await asyncio.to_thread(self._introspect, query)
        try:
            return 200, await execute(self._schema, self._context, payload)
        except (EngineError, RecursionError) as error:
            return 200, {"errors": [{"message": str(error)}]}

    def _introspect(self, query: str) -> bytes:
        """The answer to an introspection, from the store when the same was asked before."""
        from engine.session.surface import FORMAT, version

        digest = hashlib.sha256(f"{version()} {FORMAT} {query}".encode()).hexdigest()[:24]
        path = self.store.root / f"introspection-{digest}.json"
        if path.is_file():
            return path.read_bytes()
        from graphql import build_client_schema, graphql_sync

        schema = build_client_schema({"__schema": self._schema.surface})  # type: ignore[typeddict-item]
        answer = json.dumps(graphql_sync(schema, query).formatted, separators=(",", ":")).encode()
        staged = self.store.tmp / digest
        staged.write_bytes(answer)
        staged.replace(path)
        return answer
