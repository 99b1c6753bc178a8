"""A token service (distribution's token scheme) that a real registry trusts; its tokens run out when a test wants it."""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.parts.certificates import Certificates

SERVICE, ISSUER = "registry of the tests", "tokens of the tests"


class Tokens:
    """Answers ``GET /token``: to one login, for as many seconds as ``seconds`` says; ``given`` counts them."""

    def __init__(self, certificates: Certificates, login: str) -> None:
        self.key = serialization.load_pem_private_key(certificates.key.read_bytes(), None)
        leaf = x509.load_pem_x509_certificate(certificates.certificate.read_bytes())
        self.chain = [base64.b64encode(leaf.public_bytes(serialization.Encoding.DER)).decode()]
        self.basic = f"Basic {base64.b64encode(login.encode()).decode()}"
        self.login = login.partition(":")[0]
        self.seconds = 300
        self.given: list[str] = []
        self.tokens: list[str] = []

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, Any]]:
        asked = parse_qs(urlsplit(path).query)
        if authorization != self.basic:
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}
        access = []
        for each in " ".join(asked.get("scope", [])).split():
            kind, _, rest = each.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        # The registry allows a minute of other clocks; what has run out for it lies further back.
        lifetime = {"nbf": now - 600, "iat": now - 600, "exp": now + self.seconds}
        claims = {"iss": ISSUER, "sub": self.login, "aud": SERVICE, "jti": uuid.uuid4().hex, "access": access}
        token = jwt.encode({**claims, **lifetime}, self.key, "ES256", {"x5c": self.chain})  # type: ignore[arg-type]
        self.given.append(" ".join(asked.get("scope", [])))
        self.tokens.append(token)
        return 200, {"token": token, "expires_in": self.seconds}
