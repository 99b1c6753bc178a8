"""Signing as an identity, on a private Sigstore: real Fulcio, Rekor v2 and timestamps, an OIDC issuer of the tests."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from sbom import statements
from signing import bundle, keyless
from signing.bundle import Bundle
from signing.errors import SigningError, Untrusted
from tests.parts import watch
from tests.parts.certificates import Certificates
from tests.parts.commands import command
from tests.parts.go import programs
from tests.parts.issued import issued
from tests.parts.issuer import serving
from tests.parts.outside import environment
from tests.parts.registries import Registry
from tests.parts.released import REVISION, dist
from tests.parts.sigstore import Sigstore, running_sigstore
from tests.parts.toolbox import run

WHO = "releaser@example.org"
NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
STATEMENT = statements.encode(statements.build([f"sha256:{'ab' * 32}"], statements.COSIGN_SIGNATURE, {}))
POLICY = """
[[signer]]
identity = "{identity}"
issuer = "{issuer}"
trusted-root = "{root}"

[provenance]
revision = "{revision}"

[scan]
max-age-days = 7
"""


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sigstore]:
    with running_sigstore(tmp_path_factory.mktemp("sigstore")) as found:
        yield found


@pytest.fixture(scope="module")
def signed(sigstore: Sigstore) -> Bundle:
    return keyless.KeylessSigner(sigstore.issuer.token(WHO), sigstore.trust_config).sign_all([STATEMENT])[0]


def test_a_release_without_a_key_is_accepted_by_verify_and_cosign_and_by_nobody_else_s_policy(
    sigstore: Sigstore, registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    cosign = programs("cosign", only_if="PIPELINES_KEYLESS") / "cosign"
    dist(tmp_path / "dist", 45, NOW)
    env = {**environment(tmp_path, registry, certificates), "TOKEN": sigstore.issuer.token(WHO)}
    to = f"{registry.host}/keyless/app"
    words = ("--from", tmp_path / "dist", "--target", "distroless", "--tag", "1", "--to", to)
    who = ("--identity-token", f"file:{tmp_path / 'token'}", "--trust-config", sigstore.trust_config)
    (tmp_path / "token").write_text(env.pop("TOKEN"))
    token = (tmp_path / "token").read_text()
    with watch.processes() as seen:
        done = command("release", *words, *who, **env)
    assert done.returncode == 0, done.stderr
    # Neither the token nor its signature alone, which is what nobody else could make.
    for needle in (token, token.rpartition(".")[2]):
        assert needle not in done.stdout + done.stderr
        assert not [each for kind in seen.values() for each in kind if needle.encode() in each]
        assert watch.places(needle.encode(), [tmp_path, registry.storage], (tmp_path / "token",)) == []
    for identity, issuer, says in (
        (WHO, sigstore.issuer.url, ""),
        ("*@example.org", sigstore.issuer.url, ""),
        ("other@example.org", sigstore.issuer.url, f"the signer is {WHO}, not other@example.org"),
        (WHO, sigstore.stranger.url, f"the signer's issuer is not {sigstore.stranger.url}"),
    ):
        text = POLICY.format(identity=identity, issuer=issuer, root=sigstore.trusted_root, revision=REVISION)
        (tmp_path / "policy.toml").write_text(text)
        seen = command("verify", f"{to}:1", "--policy", tmp_path / "policy.toml", **env)
        assert seen.returncode == (1 if says else 0), seen.stdout + seen.stderr
        assert says in seen.stdout
    # Again: what is signed already is not signed again.
    again = command("release", *words, *who, **env)
    assert again.returncode == 0, again.stderr
    assert "sent" not in again.stderr
    # By someone else: signed once more, beside the first, so that either policy finds what it asks for.
    (tmp_path / "token").write_text(sigstore.issuer.token("second@example.org"))
    assert command("release", *words, *who, **env).returncode == 0
    for identity in (WHO, "second@example.org"):
        text = POLICY.format(
            identity=identity, issuer=sigstore.issuer.url, root=sigstore.trusted_root, revision=REVISION
        )
        (tmp_path / "policy.toml").write_text(text)
        seen = command("verify", f"{to}:1", "--policy", tmp_path / "policy.toml", **env)
        assert seen.returncode == 0, seen.stdout + seen.stderr
    # Cosign 2.5 takes no trusted root for bundles beside images: it asks for the public one.
    _cosign(str(cosign), sigstore, f"{to}:1", env)


def _cosign(cosign: str, sigstore: Sigstore, place: str, env: dict[str, str]) -> None:
    flags = ["--new-bundle-format", "--trusted-root", str(sigstore.trusted_root)]
    for identity, issuer, fails in (
        (WHO, sigstore.issuer.url, False),
        ("other@example.org", sigstore.issuer.url, True),
        (WHO, sigstore.stranger.url, True),
    ):
        who = ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]
        run([cosign, "verify", *flags, *who, place], env, fails=fails)
        run([cosign, "verify-attestation", "--type", "cyclonedx", *flags, *who, place], env, fails=fails)


def test_sigstore_python_accepts_what_was_signed_and_refuses_another_identity_and_issuer(
    sigstore: Sigstore, signed: Bundle
) -> None:
    from sigstore import models, verify
    from sigstore.errors import VerificationError
    from sigstore.verify.policy import Identity

    verifier = verify.Verifier(trusted_root=models.TrustedRoot.from_file(str(sigstore.trusted_root)))
    theirs = models.Bundle.from_json(signed.data)
    kind, payload = verifier.verify_dsse(theirs, Identity(identity=WHO, issuer=sigstore.issuer.url))
    assert (kind, payload) == ("application/vnd.in-toto+json", STATEMENT)
    for identity, issuer in (("other@example.org", sigstore.issuer.url), (WHO, sigstore.stranger.url)):
        with pytest.raises(VerificationError):
            verifier.verify_dsse(theirs, Identity(identity=identity, issuer=issuer))


def _without_timestamp(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": []}


def _without_log(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["tlogEntries"] = []


def _other_payload(value: dict[str, Any]) -> None:
    value["dsseEnvelope"]["payload"] = value["dsseEnvelope"]["payload"][:-8] + "ICAgfX0="


def _other_root(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["rootHash"] = "A" * 43 + "="


@pytest.mark.parametrize("change", [_without_timestamp, _without_log, _other_payload, _other_root])
def test_a_bundle_that_lacks_its_timestamp_or_its_log_entry_or_was_changed_is_refused(
    sigstore: Sigstore, signed: Bundle, change: Any
) -> None:
    verifier = keyless.IdentityVerifier(WHO, sigstore.issuer.url, sigstore.trusted_root)
    assert verifier.check(signed) == f"{WHO} by {sigstore.issuer.url}"
    value = json.loads(signed.data)
    change(value)
    with pytest.raises(Untrusted, match="does not hold under the trusted root"):
        verifier.check(bundle.parse(json.dumps(value).encode()))


def test_a_certificate_that_had_expired_when_it_was_used_is_refused_with_and_without_a_timestamp(
    sigstore: Sigstore,
) -> None:
    verifier = keyless.IdentityVerifier(WHO, sigstore.issuer.url, sigstore.trusted_root)
    # The same way of making one, with a certificate that is valid, is accepted: nothing else is wrong with it.
    assert verifier.check(issued(sigstore, STATEMENT, x509.RFC822Name(WHO)))
    for stamped in (True, False):
        with pytest.raises(Untrusted, match="does not hold under the trusted root"):
            verifier.check(issued(sigstore, STATEMENT, x509.RFC822Name(WHO), hours=3, stamped=stamped))


_HOLDS = "does not hold under the trusted root"
_NAME = x509.RFC822Name(WHO)
ISSUED: dict[str, tuple[tuple[x509.GeneralName, ...], dict[str, Any], str]] = {
    "the name of a host": ((x509.DNSName("example.org"),), {}, "the signer is nobody"),
    "a name of another kind": (
        (x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), b"\x0c\x14" + WHO.encode()),), {}, "the signer is nobody",
    ),
    "an address of another domain": ((x509.RFC822Name(WHO + ".example"),), {}, f"the signer is {WHO}.example, not {WHO}"),
    "a server's certificate": ((_NAME,), {"usage": ExtendedKeyUsageOID.SERVER_AUTH}, _HOLDS),
    "a certificate that no log has promised to take": ((_NAME,), {"promised": False}, _HOLDS),
    "a certificate by a stranger under the authority's name": (
        (_NAME,), {"authority": ec.derive_private_key(99, ec.SECP256R1())}, _HOLDS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ISSUED)
def test_a_certificate_that_is_not_quite_right_is_refused(sigstore: Sigstore, name: str) -> None:
    names, changes, says = ISSUED[name]
    made = issued(sigstore, STATEMENT, *names, **changes)
    with pytest.raises(Untrusted, match=says):
        keyless.IdentityVerifier(WHO, sigstore.issuer.url, sigstore.trusted_root).check(made)


@pytest.mark.parametrize("part", ["tlogEntries", "timestampVerificationData", "certificate"])
def test_a_log_entry_a_timestamp_and_a_certificate_of_another_artifact_are_refused(
    sigstore: Sigstore, signed: Bundle, part: str
) -> None:
    other = statements.encode(statements.build([f"sha256:{'cd' * 32}"], statements.COSIGN_SIGNATURE, {}))
    theirs = keyless.KeylessSigner(sigstore.issuer.token(WHO), sigstore.trust_config).sign_all([other])[0]
    verifier = keyless.IdentityVerifier(WHO, sigstore.issuer.url, sigstore.trusted_root)
    assert verifier.check(theirs)
    value = json.loads(signed.data)
    value["verificationMaterial"][part] = json.loads(theirs.data)["verificationMaterial"][part]
    with pytest.raises(Untrusted, match=_HOLDS):
        verifier.check(bundle.parse(json.dumps(value).encode()))


def _parts(value: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """What of a bundle is base64: certificate, log entry, timestamp, signature, payload; each as its holder and its name."""
    material, envelope = value["verificationMaterial"], value["dsseEnvelope"]
    (entry,), (stamp,) = material["tlogEntries"], material["timestampVerificationData"]["rfc3161Timestamps"]
    return [
        (material["certificate"], "rawBytes"), (entry, "canonicalizedBody"), (entry["inclusionProof"], "rootHash"),
        (stamp, "signedTimestamp"), (envelope["signatures"][0], "sig"), (envelope, "payload"),
    ]  # fmt: skip


def test_a_bit_of_a_certificate_an_entry_a_timestamp_or_a_signature_makes_the_bundle_refused(
    sigstore: Sigstore, signed: Bundle
) -> None:
    verifier = keyless.IdentityVerifier(WHO, sigstore.issuer.url, sigstore.trusted_root)
    assert verifier.check(signed)
    rng, accepted = random.Random(9), []
    for number in range(180):
        value = json.loads(signed.data)
        holder, name = _parts(value)[number % 6]
        data = bytearray(base64.b64decode(holder[name]))
        at, bit = rng.randrange(len(data)), rng.randrange(8)
        data[at] ^= 1 << bit
        holder[name] = base64.b64encode(data).decode()
        try:
            verifier.check(bundle.parse(json.dumps(value).encode()))
            accepted.append(f"{name}: byte {at} of {len(data)}, bit {bit}")
        except Untrusted as error:
            assert _HOLDS in str(error) or "Sigstore" in str(error)
    assert accepted == []


def test_the_job_s_own_token_signs_in_github_actions_and_without_one_it_is_said_what_is_missing(
    sigstore: Sigstore, plain_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    dist(tmp_path / "dist", 46, NOW)
    env = environment(tmp_path, plain_registry, certificates)
    to = f"{plain_registry.host}/ambient/app"
    words = ("--from", tmp_path / "dist", "--target", "distroless", "--tag", "1", "--to", to)
    words = (*words, "--trust-config", sigstore.trust_config)
    nobody = command("release", *words, **env, GITHUB_ACTIONS="true")
    assert nobody.returncode == 1 and nobody.stderr.splitlines()[-1].startswith("release: ")
    assert plain_registry.proxy.seen("/v2/ambient/app/blobs") == []
    with serving({"/token?audience=sigstore": lambda _: {"value": sigstore.issuer.token(WHO)}}) as url:
        asked = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{url}/token", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of the job"}
        done = command("release", *words, **env, GITHUB_ACTIONS="true", **asked)
    assert done.returncode == 0, done.stderr
    assert "of the job" not in done.stdout + done.stderr
    text = POLICY.format(identity=WHO, issuer=sigstore.issuer.url, root=sigstore.trusted_root, revision=REVISION)
    (tmp_path / "policy.toml").write_text(text)
    assert command("verify", f"{to}:1", "--policy", tmp_path / "policy.toml", **env).returncode == 0


def test_a_token_that_is_no_token_or_has_expired_is_refused_without_being_shown(sigstore: Sigstore) -> None:
    for token in (sigstore.issuer.token(WHO, seconds=-600), "e30.e30.e30"):
        with pytest.raises(SigningError, match="signing without a key failed") as refused:
            keyless.KeylessSigner(token, sigstore.trust_config).sign_all([STATEMENT])
        assert token not in str(refused.value)
