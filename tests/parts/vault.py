"""A key in a service: what Vault's transit engine answers to cosign (developer.hashicorp.com/vault/api-docs/secret/transit).

A counterpart, in memory: the key never leaves it, and it signs digests for whoever has the token.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed


@dataclass
class Vault:
    """``name`` of the key, ``token`` that lets in; ``asked`` are the paths of requests."""

    name: str = "release"
    token: str = "of the tests"
    url: str = ""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    asked: list[str] = field(default_factory=list)

    @property
    def pem(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def answer(self, path: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(path)
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        if path == f"/v1/transit/keys/{self.name}":
            keys = {"1": {"public_key": self.pem.decode(), "name": "P-256"}}
            return 200, {"data": {"name": self.name, "type": "ecdsa-p256", "latest_version": 1, "keys": keys}}
        if re.fullmatch(rf"/v1/transit/sign/{self.name}(/sha2-256)?", path) and body.get("prehashed") in (True, "true"):
            digest = base64.b64decode(body["input"])
            signature = self.key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
            return 200, {"data": {"signature": f"vault:v1:{base64.b64encode(signature).decode()}"}}
        return 404, {"errors": [f"no handler for {path}"]}


@contextmanager
def running_vault() -> Iterator[Vault]:
    vault = Vault()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size) or b"{}")
            status, value = vault.answer(self.path, self.headers.get("X-Vault-Token", ""), body)
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    vault.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield vault
    finally:
        server.shutdown()
        server.server_close()
