"""A private Sigstore on loopback: the real Fulcio, Rekor (v2, tiles) and timestamp authority, built from Go modules."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.parts.go import programs
from tests.parts.issuer import Issuer, Promises, serving
from tests.parts.registries import free_port, running

_PASSWORD = "of the tests"


@dataclass(frozen=True)
class Sigstore:
    """``trust_config`` is what signs, ``trusted_root`` what verifies; ``stranger`` is an issuer that Fulcio knows too."""

    issuer: Issuer
    stranger: Issuer
    trust_config: Path
    trusted_root: Path
    signing_config: Path
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
    promises: Promises


def _authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, "tests' Fulcio"),
        ]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made, key


def _pem(key: ec.EllipticCurvePrivateKey, password: str = "") -> bytes:
    how = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@contextmanager
def running_sigstore(folder: Path) -> Iterator[Sigstore]:
    """All of it, from when it answers until the context ends."""
    where = programs("sigstore", only_if="PIPELINES_KEYLESS")
    with ExitStack() as stack:
        issuers = (Issuer(), Issuer())
        for each in issuers:
            each.url = stack.enter_context(serving(each.answers()))
        promises = Promises()
        log = stack.enter_context(serving(promises.answers()))
        authority, key = _authority()
        rekor_key = ec.generate_private_key(ec.SECP256R1())
        (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        (folder / "ca.key").write_bytes(_pem(key, _PASSWORD))
        (folder / "rekor.key").write_bytes(_pem(rekor_key))
        known = {each.url: {"IssuerURL": each.url, "ClientID": "sigstore", "Type": "email"} for each in issuers}
        (folder / "fulcio.json").write_text(json.dumps({"OIDCIssuers": known}))
        ports = [str(free_port()) for _ in range(8)]
        urls = [f"http://127.0.0.1:{each}" for each in (ports[0], ports[3], ports[6])]
        fulcio = [
            str(where / "fulcio"), "serve", "--ca", "fileca", "--fileca-cert", str(folder / "ca.pem"),
            "--fileca-key", str(folder / "ca.key"), "--fileca-key-passwd", _PASSWORD, "--fileca-watch=false",
            "--config-path", str(folder / "fulcio.json"), "--ct-log-url", log, "--host", "127.0.0.1", "--port", ports[0],
            "--grpc-host", "127.0.0.1", "--grpc-port", ports[1], "--metrics-port", ports[2],
            "--legacy-unix-domain-socket", str(folder / "fulcio.sock"),
        ]  # fmt: skip
        rekor = [
            str(where / "posix"), "serve", "--hostname", "127.0.0.1", "--storage-dir", str(folder / "log"),
            "--signer-filepath", str(folder / "rekor.key"), "--http-port", ports[3], "--grpc-port", ports[4],
            "--http-metrics-port", ports[5], "--batch-max-age", "100ms", "--checkpoint-interval", "200ms",
        ]  # fmt: skip
        stamps = [
            str(where / "timestamp-server"), "serve", "--host", "127.0.0.1", "--port", ports[6],
            "--timestamp-signer", "memory", "--disable-ntp-monitoring",
        ]  # fmt: skip
        stack.enter_context(running(fulcio, f"{urls[0]}/api/v2/configuration", folder / "fulcio.log"))
        stack.enter_context(running(rekor, f"{urls[1]}/healthz", folder / "rekor.log"))
        stack.enter_context(running(stamps, f"{urls[2]}/ping", folder / "stamps.log"))
        chain = urllib.request.urlopen(f"{urls[2]}/api/v1/timestamp/certchain", timeout=20).read()
        root = _root(urls, authority, x509.load_pem_x509_certificates(chain), promises, _der(rekor_key), log)
        config = _signing(urls, issuers[0].url)
        files = [folder / name for name in ("trust-config.json", "trusted-root.json", "signing-config.json")]
        whole = {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": root,
            "signingConfig": config,
        }
        for file, value in zip(files, (whole, root, config), strict=True):
            file.write_text(json.dumps(value))
        yield Sigstore(issuers[0], issuers[1], files[0], files[1], files[2], (authority, key), promises)


_ALWAYS = {"start": "2020-01-01T00:00:00Z"}


def _log(url: str, public: bytes) -> dict[str, Any]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": _text(public), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": _ALWAYS},
        "logId": {"keyId": _text(hashlib.sha256(public).digest())},
    }


def _certificates(url: str, chain: list[x509.Certificate]) -> dict[str, Any]:
    listed = [{"rawBytes": _text(each.public_bytes(serialization.Encoding.DER))} for each in chain]
    subject = {"organization": "tests", "commonName": "tests"}
    return {"subject": subject, "uri": url, "certChain": {"certificates": listed}, "validFor": _ALWAYS}


def _root(
    urls: list[str], authority: x509.Certificate, stamps: list[x509.Certificate], log: Promises, rekor: bytes, at: str
) -> dict[str, Any]:
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [_log(urls[1], rekor)],
        "certificateAuthorities": [_certificates(urls[0], [authority])],
        "ctlogs": [_log(at, log.public)],
        "timestampAuthorities": [_certificates(f"{urls[2]}/api/v1/timestamp", stamps)],
    }


def _signing(urls: list[str], issuer: str) -> dict[str, Any]:
    def service(url: str, version: int) -> dict[str, Any]:
        return {"url": url, "majorApiVersion": version, "validFor": _ALWAYS, "operator": "tests"}

    return {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [service(urls[0], 1)],
        "oidcUrls": [service(issuer, 1)],
        "rekorTlogUrls": [service(urls[1], 2)],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [service(f"{urls[2]}/api/v1/timestamp", 1)],
        "tsaConfig": {"selector": "ANY"},
    }
