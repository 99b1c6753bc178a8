"""An OIDC issuer of the tests, and a certificate log's promises: what Fulcio asks of its surroundings, on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from asn1crypto import x509 as asn1
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

Answer = Callable[[bytes], Mapping[str, Any]]
_POISON = "1.3.6.1.4.1.11129.2.4.3"


@contextmanager
def serving(answers: Mapping[str, Answer]) -> Iterator[str]:
    """A server that answers paths with JSON; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = answers.get(self.path)
            data = json.dumps(found(body)).encode() if found else b"{}"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Issuer:
    """Vouches for e-mail addresses; ``url`` is known once it is served."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.url = ""

    def answers(self) -> dict[str, Answer]:
        return {
            "/.well-known/openid-configuration": lambda _: {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/auth",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            "/keys": lambda _: {"keys": [self._public()]},
        }

    def _public(self) -> dict[str, str]:
        found: dict[str, str] = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**found, "kid": "1", "use": "sig", "alg": "RS256"}

    def token(self, email: str, seconds: int = 600) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": "sigstore", "sub": email, "email": email, "email_verified": True}
        return jwt.encode({**claims, "iat": now, "exp": now + seconds}, self.key, "RS256", {"kid": "1"})


class Promises:
    """Signs that certificates will be logged (RFC 6962, section 3.2), and keeps nothing: no log is looked into here."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.identifier = hashlib.sha256(self.public).digest()

    def answers(self) -> dict[str, Answer]:
        return {"/ct/v1/add-pre-chain": self.promise}

    def promise(self, body: bytes) -> Mapping[str, Any]:
        chain = [base64.b64decode(each) for each in json.loads(body)["chain"]]
        before, issuer = asn1.Certificate.load(chain[0]), asn1.Certificate.load(chain[1])
        signed = before["tbs_certificate"]
        signed["extensions"] = asn1.Extensions(
            [each for each in signed["extensions"] if each["extn_id"].dotted != _POISON]
        )
        tbs, when = signed.dump(force=True), int(time.time() * 1000)
        of = hashlib.sha256(issuer["tbs_certificate"]["subject_public_key_info"].dump()).digest()
        text = struct.pack("!BBQH", 0, 0, when, 1) + of + len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
        signature = self.key.sign(text, ec.ECDSA(hashes.SHA256()))
        return {
            "sct_version": 0,
            "id": base64.b64encode(self.identifier).decode(),
            "timestamp": when,
            "extensions": "",
            "signature": base64.b64encode(bytes([4, 3]) + struct.pack("!H", len(signature)) + signature).decode(),
        }
