"""Keys: Ed25519 (RFC 8032) and P-256 with deterministic nonces (RFC 6979), so that the same bytes get the same signature."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from signing import bundle
from signing.bundle import Bundle
from signing.dsse import PAYLOAD_TYPE, Envelope, encoding
from signing.errors import SigningError, Untrusted

Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
Public = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

_COSIGN = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
_MAX_SCRYPT = 1 << 20


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies."""

    key: Public

    @property
    def der(self) -> bytes:
        return self.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def pem(self) -> bytes:
        return self.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def hint(self) -> str:
        """How bundles name the key: base64 of the SHA-256 of its DER."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

    def __str__(self) -> str:
        return f"key {self.hint}"

    def verify(self, data: bytes, signature: bytes) -> None:
        """Raises Untrusted for a signature that does not hold."""
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, data)
            else:
                self.key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise Untrusted(f"the signature by {self} does not hold") from None


@dataclass(frozen=True, slots=True)
class KeySigner:
    """A private key at hand."""

    key: Private

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key.public_key())

    def sign(self, statement: bytes) -> Bundle:
        """The bundle of a statement, the same bytes each time."""
        data = encoding(PAYLOAD_TYPE, statement)
        return bundle.of_key(Envelope(statement, self.raw(data)), self.public.hint)

    def raw(self, data: bytes) -> bytes:
        """The signature over bytes, as they are."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(data)
        return self.key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def private(pem: bytes, password: str, where: str) -> KeySigner:
    """A private key: PKCS#8 in PEM, encrypted or not, or a key of ``cosign generate-key-pair``.

    Raises:
        SigningError: it is none, of another kind, or its password is missing or wrong; ``where`` is named.
    """
    label = pem.partition(b"-----BEGIN ")[2].partition(b"-----")[0].decode(errors="replace")
    if label in _COSIGN:
        return KeySigner(_supported(_cosign(pem, label, password, where), where))
    try:
        key = serialization.load_pem_private_key(pem, password.encode() if "ENCRYPTED" in label else None)
    except TypeError:
        raise SigningError(f"{where} is encrypted, and there is no password; set COSIGN_PASSWORD") from None
    except (ValueError, UnsupportedAlgorithm):
        why = "its password is wrong" if "ENCRYPTED" in label else "PEM of PKCS#8 is expected"
        raise SigningError(f"{where} holds no private key that can be read: {why}") from None
    return KeySigner(_supported(key, where))


def public(pem: bytes, where: str) -> PublicKey:
    """A public key in PEM; raises SigningError for anything else, a private key too."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError(f"{where} holds no public key in PEM, as cosign.pub does") from None
    if isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return PublicKey(key)
    raise SigningError(f"{where} is a key of a kind that is not used here; Ed25519 and P-256 are")


def _supported(key: object, where: str) -> Private:
    if isinstance(key, ed25519.Ed25519PrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return key
    raise SigningError(f"{where} is a key of a kind that is not used here; Ed25519 and P-256 are")


def _cosign(pem: bytes, label: str, password: str, where: str) -> object:
    """Open cosign's own container: scrypt and NaCl's secretbox around PKCS#8."""
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    try:
        body = pem.decode().partition(f"-----BEGIN {label}-----")[2].partition(f"-----END {label}-----")[0]
        value: dict[str, Any] = json.loads(base64.b64decode(body))
        kdf, cipher = value["kdf"], value["cipher"]
        if kdf["name"] != "scrypt" or cipher["name"] != "nacl/secretbox" or kdf["params"]["N"] > _MAX_SCRYPT:
            raise SigningError(f"{where} is encrypted in a way that is not known here")
        cost = kdf["params"]
        salt, nonce = base64.b64decode(kdf["salt"]), base64.b64decode(cipher["nonce"])
        key = Scrypt(salt, 32, cost["N"], cost["r"], cost["p"]).derive(password.encode())
        der = SecretBox(key).decrypt(base64.b64decode(value["ciphertext"]), nonce)
        return serialization.load_der_private_key(der, None)
    except CryptoError:
        raise SigningError(f"{where}: the password is wrong; it is taken from COSIGN_PASSWORD") from None
    except (KeyError, TypeError, ValueError, binascii.Error, UnicodeDecodeError) as error:
        raise SigningError(f"{where} is no key of cosign generate-key-pair: {error}") from None
