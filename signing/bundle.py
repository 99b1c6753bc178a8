"""Sigstore bundles v0.3 (sigstore/protobuf-specs, sigstore_bundle.proto) that hold a DSSE envelope."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.content import unique
from signing.dsse import Envelope
from signing.errors import SigningError

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle: its exact bytes, its envelope, and either a key's ``hint`` or a DER ``certificate``."""

    data: bytes
    envelope: Envelope
    hint: str = ""
    certificate: bytes = b""


def of_key(envelope: Envelope, hint: str) -> Bundle:
    """The bundle of a key, the same bytes each time; ``hint`` names the key (base64 of SHA-256 of its DER)."""
    value = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}},
        "dsseEnvelope": {
            "payload": base64.b64encode(envelope.payload).decode(),
            "payloadType": envelope.payload_type,
            "signatures": [{"sig": base64.b64encode(envelope.signature).decode()}],
        },
    }
    return Bundle(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), envelope, hint)


def parse(data: bytes) -> Bundle:
    """A bundle from its bytes. Whatever is checked by its certificate alone is left to Sigstore's own library.

    Raises:
        SigningError: it is no bundle v0.3 with a DSSE envelope, one signature, and either a key or a certificate.
    """
    try:
        value = json.loads(data, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise SigningError(f"not a Sigstore bundle: {error}") from None
    if not isinstance(value, dict) or value.get("mediaType") != MEDIA_TYPE:
        found = value.get("mediaType") if isinstance(value, dict) else type(value).__name__
        raise SigningError(f"not a Sigstore bundle v0.3: its media type is {found!r}")
    material, envelope = _mapping(value, "verificationMaterial"), _mapping(value, "dsseEnvelope")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise SigningError("a Sigstore bundle holds exactly one signature")
    kind = envelope.get("payloadType")
    if not isinstance(kind, str):
        raise SigningError("a DSSE envelope has a payloadType")
    parsed = Envelope(_bytes(envelope, "payload"), _bytes(signatures[0], "sig"), kind)
    has_key, has_certificate = "publicKey" in material, "certificate" in material
    if has_key == has_certificate:
        raise SigningError("a Sigstore bundle v0.3 names either a public key or a certificate")
    if has_certificate:
        return Bundle(data, parsed, certificate=_bytes(_mapping(material, "certificate"), "rawBytes"))
    hint = _mapping(material, "publicKey").get("hint")
    if not isinstance(hint, str) or not hint:
        raise SigningError("a Sigstore bundle of a key has a hint that names the key")
    return Bundle(data, parsed, hint)


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    if not isinstance(found, dict):
        raise SigningError(f"not a Sigstore bundle with a DSSE envelope: {key} is missing")
    return found


def _bytes(value: Mapping[str, Any], key: str) -> bytes:
    """Bytes in the one base64 form that stands for them: another form would be another file that says the same."""
    text = value.get(key)
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data or base64.b64encode(data).decode() != text:
        raise SigningError(f"a Sigstore bundle's {key} is base64, and not empty")
    return data
