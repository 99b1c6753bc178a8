"""A TLS server in front of a registry, which makes trouble on demand."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.parts.certificates import Certificates
from tests.parts.tokens import Tokens

_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer")


@dataclass
class Fault:
    """Trouble with ``times`` requests whose ``METHOD path`` matches ``where``, once ``after`` of them went through.

    ``status`` answers instead of the registry. ``cut`` closes the connection after that many bytes of the request's
    body went through, ``short`` after that many of the answer's. ``drip`` sends the answer a byte at a time, that many
    seconds apart. ``digest`` replaces Docker-Content-Digest, ``flip`` one bit of the answer's body, ``token`` our login.
    """

    where: str
    times: int = 1
    after: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = -1
    short: int = -1
    drip: float = 0.0
    digest: str = ""
    flip: bool = False
    token: str = ""


class Proxy:
    """``requests`` holds ``(METHOD, path, status)`` of all that went through."""

    def __init__(self, upstream: str, certificates: Certificates) -> None:
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, int]] = []
        self.tokens: Tokens | None = None
        self._lock = threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.certificate, certificates.key)
        proxy = self

        class Handler(_Handler):
            owner = proxy

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def finish_request(self, request: Any, client_address: Any) -> None:
                # The handshake belongs into the connection's own thread.
                try:
                    wrapped = context.wrap_socket(request, server_side=True)
                except (OSError, ssl.SSLError):
                    return
                Handler(wrapped, client_address, self)

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for each in self.faults:
                if each.times and re.search(each.where, f"{method} {path}"):
                    if each.after:
                        each.after -= 1
                        continue
                    each.times -= 1
                    return each
        return None

    def seen(self, where: str) -> list[tuple[str, str, int]]:
        """The requests so far that match."""
        return [each for each in self.requests if re.search(where, f"{each[0]} {each[1]}")]


class _Handler(BaseHTTPRequestHandler):
    owner: Proxy
    protocol_version = "HTTP/1.1"
    timeout = 120

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._pass_on()

    do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_GET

    def _pass_on(self) -> None:
        if self.owner.tokens and self.path.startswith("/token"):
            status, value = self.owner.tokens.answer(self.path, self.headers.get("Authorization", ""))
            return self._answer(status, {"Content-Type": "application/json"}, json.dumps(value).encode())
        fault = self.owner.fault(self.command, self.path) or Fault("", 0)
        if fault.cut >= 0:
            for part in self._body(fault.cut):
                self._forward_partly(part)
            return self._hang_up()
        body = b"".join(self._body())
        if fault.status:
            return self._answer(
                fault.status, fault.headers, b'{"errors":[{"code":"TROUBLE","message":"made by a test"}]}'
            )
        answer, data = self._ask(body, fault)
        headers = {key: value for key, value in answer.getheaders() if key.lower() not in _HOP}
        if fault.digest:
            headers["Docker-Content-Digest"] = fault.digest
        if fault.flip and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self._answer(answer.status, headers, data, fault, length)

    def _connect(self) -> http.client.HTTPConnection:
        scheme, _, host = self.owner.upstream.partition("://")
        if scheme == "http":
            return http.client.HTTPConnection(host, timeout=120)
        return http.client.HTTPSConnection(host, timeout=120, context=ssl._create_unverified_context())

    def _headers(self, fault: Fault, size: int) -> dict[str, str]:
        headers: dict[str, str] = {}
        for key, value in self.headers.items():
            if key.lower() not in _HOP:
                headers[key] = f"{headers[key]}, {value}" if key in headers else value
        if fault.token:
            headers["Authorization"] = f"Bearer {fault.token}"
        return {**headers, "Content-Length": str(size), "X-Forwarded-Proto": "https"}

    def _ask(self, body: bytes, fault: Fault) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connect()
        try:
            connection.request(self.command, self.path, body or None, self._headers(fault, len(body)))
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _forward_partly(self, part: bytes) -> None:
        """Let the registry see the beginning of a body that never ends."""
        connection = self._connect()
        size = int(self.headers.get("Content-Length", len(part) + 1))
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for key, value in self._headers(Fault("", 0), size).items():
            connection.putheader(key, value)
        connection.endheaders()
        connection.send(part)
        time.sleep(0.2)
        connection.close()
        time.sleep(0.2)

    def _body(self, limit: int = -1) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        size = int(self.headers.get("Content-Length") or 0)
        yield self.rfile.read(size if limit < 0 else min(limit, size))

    def _hang_up(self) -> None:
        self.close_connection = True
        self.owner.requests.append((self.command, self.path, 0))
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(
        self, status: int, headers: dict[str, str], data: bytes, fault: Fault | None = None, length: str | None = None
    ) -> None:
        self.owner.requests.append((self.command, self.path, status))
        self.send_response_only(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault and fault.short >= 0:
            self.wfile.write(data[: fault.short])
            self.wfile.flush()
            return self._hang_up()
        if fault and fault.drip:
            for at in range(len(data)):
                self.wfile.write(data[at : at + 1])
                self.wfile.flush()
                time.sleep(fault.drip)
            return
        self.wfile.write(data)
