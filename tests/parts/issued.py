"""A bundle whose certificate the tests' authority has issued by itself, with whatever time it likes."""

from __future__ import annotations

import base64
import datetime
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from signing import bundle
from signing.bundle import Bundle
from tests.parts.sigstore import Sigstore

_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_PROMISES = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def issued(
    sigstore: Sigstore,
    statement: bytes,
    *names: x509.GeneralName,
    hours: int = 0,
    stamped: bool = True,
    promised: bool = True,
    usage: ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
    authority: ec.EllipticCurvePrivateKey | None = None,
) -> Bundle:
    """A bundle, logged and stamped now, under a certificate for ``names``; unless asked otherwise, one that is right.

    ``hours``: its certificate ran out ``hours - 1`` hours ago; ``authority``: another key than the authority's signs it.
    """
    from sigstore import models
    from sigstore.dsse import Envelope
    from sigstore_models.intoto import Envelope as Inner
    from sigstore_models.intoto import Signature

    from signing.dsse import PAYLOAD_TYPE, encoding

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(
        sigstore.authority[0], authority or sigstore.authority[1], sigstore, key, names, hours, promised, usage
    )
    signature = key.sign(encoding(PAYLOAD_TYPE, statement), ec.ECDSA(hashes.SHA256()))
    inner = Inner(
        payload=base64.b64encode(statement),
        payload_type=PAYLOAD_TYPE,
        signatures=[Signature(sig=base64.b64encode(signature))],
    )
    envelope = Envelope(inner)
    config = models.ClientTrustConfig.from_json(sigstore.trust_config.read_text()).signing_config
    log = config.get_tlogs()[0]
    entry = log.create_entry(log._build_dsse_request(envelope, certificate))
    stamps = [each.request_timestamp(signature) for each in config.get_tsas()]
    made = models.Bundle._from_parts(certificate, envelope, entry, stamps)
    value = json.loads(made.to_json())
    if not stamped:
        del value["verificationMaterial"]["timestampVerificationData"]
    return bundle.parse(json.dumps(value).encode())


def _certificate(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    sigstore: Sigstore,
    key: ec.EllipticCurvePrivateKey,
    names: tuple[x509.GeneralName, ...],
    hours: int,
    promised: bool,
    usage: ObjectIdentifier,
) -> x509.Certificate:
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours, minutes=1)
    plain = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(hours=1))
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.UnrecognizedExtension(_ISSUER, sigstore.issuer.url.encode()), critical=False)
    )
    if not promised:
        return plain.sign(authority_key, hashes.SHA256())
    before = plain.add_extension(x509.PrecertPoison(), critical=True).sign(authority_key, hashes.SHA256())
    chain = [base64.b64encode(each.public_bytes(serialization.Encoding.DER)).decode() for each in (before, authority)]
    said = sigstore.promises.promise(json.dumps({"chain": chain}).encode())
    one = b"\0" + base64.b64decode(said["id"]) + said["timestamp"].to_bytes(8, "big") + b"\0\0"
    one += base64.b64decode(said["signature"])
    listed = (len(one) + 2).to_bytes(2, "big") + len(one).to_bytes(2, "big") + one
    # DER, OCTET STRING, in the form for up to 255 bytes.
    value = (b"\x04" + bytes([len(listed)]) if len(listed) < 128 else b"\x04\x81" + bytes([len(listed)])) + listed
    return plain.add_extension(x509.UnrecognizedExtension(_PROMISES, value), critical=False).sign(
        authority_key, hashes.SHA256()
    )
