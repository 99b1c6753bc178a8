"""Signed requests: who sent this, is it fresh, is it the first time, may it do that.

A request is signed with HMAC-SHA256 (RFC 2104) under the key's secret, in hex, over these lines joined by a line feed:
time in milliseconds since 1970, nonce, method, target as it stands in the request line, SHA-256 of the body in hex.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from cift.errors import CiftError
from cift.ports.access import Admission, Allowance, Keys

KEY, TIME, NONCE, SIGNATURE = "cift-key", "cift-timestamp", "cift-nonce", "cift-signature"
_NONCE = re.compile(r"[A-Za-z0-9_\-]{8,64}\Z", re.ASCII)
_TIME = re.compile(r"\d{13}\Z", re.ASCII)
_MARGIN = 5.0
"""Seconds that a nonce outlives its request's time: a request may linger after the look at the clock, or this be set back."""
_NO_SECRET = sha256(b"no such key").digest()


class Unauthenticated(CiftError):
    """The request is not signed, or not as it must be."""


class Forbidden(CiftError):
    """The key is good but has not the scope."""


class TooMany(CiftError):
    """More requests than the key may send."""

    def __init__(self, detail: str, allowance: Allowance) -> None:
        super().__init__(detail)
        self.allowance = allowance


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. ``bucket`` names what their rate is counted under."""

    account: int
    account_name: str
    scopes: frozenset[str]
    bucket: str


def signature(secret: bytes, time: str, nonce: str, method: str, target: str, body: bytes) -> str:
    """The signature of a request, in hex."""
    text = "\n".join((time, nonce, method.upper(), target, sha256(body).hexdigest()))
    return hmac.new(secret, text.encode(), sha256).hexdigest()


def authenticate(
    keys: Keys,
    admission: Admission,
    headers: Mapping[str, str],
    method: str,
    target: str,
    body: bytes,
    now: float,
    skew: float,
) -> Principal:
    """The sender of a signed request. A wrong signature and an unknown key cost the same and are told by the same words.

    Raises:
        Unauthenticated: a header is missing or malformed, the time is off, the signature is wrong, the nonce was used.
        Unavailable: no more nonces can be remembered just now.
    """
    for name in (KEY, TIME, NONCE, SIGNATURE):
        if name not in headers:
            raise Unauthenticated(
                f"the header {name} is missing; a signed request has {KEY}, {TIME}, {NONCE}, {SIGNATURE}"
            )
    sent, nonce = headers[TIME], headers[NONCE]
    if not _TIME.match(sent):
        raise Unauthenticated(f"{TIME}: is not milliseconds since 1970 (13 digits)")
    if not _NONCE.match(nonce):
        raise Unauthenticated(f"{NONCE}: is not 8 to 64 letters, digits, _ or -")
    when = int(sent) / 1000
    if abs(now - when) > skew:
        raise Unauthenticated(f"{TIME}: is more than {skew:g} s away from the server's time")
    key = keys.find(headers[KEY])
    expected = signature(key.secret if key else _NO_SECRET, sent, nonce, method, target, body)
    good = hmac.compare_digest(expected.encode(), headers[SIGNATURE].lower().encode())
    if key is None or not good:
        raise Unauthenticated("unknown key or wrong signature")
    if not admission.first_use(key.id, nonce, when + skew + _MARGIN):
        raise Unauthenticated(f"{NONCE}: was used before")
    return Principal(key.account, key.account_name, key.scopes, key.id)


def require(principal: Principal, scope: str) -> None:
    """Raises Forbidden unless the principal has the scope."""
    if scope not in principal.scopes:
        raise Forbidden(f"this key has not the scope {scope!r}")
