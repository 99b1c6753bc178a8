"""Keys, bundles and how other people's tools see them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from registry import copy
from registry.reference import Repository
from registry.remote import Remote
from sbom import statements
from signing import attachment, bundle, keys, kms, legacy, trust
from signing.errors import SigningError, Untrusted
from signing.keys import KeySigner
from tests.parts.certificates import Certificates
from tests.parts.outside import environment
from tests.parts.registries import Registry, settings
from tests.parts.sample import image
from tests.parts.toolbox import program, run


def pem(key: object, password: bytes = b"") -> bytes:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    data: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)  # type: ignore[attr-defined]
    return data


KEYS = {
    "Ed25519": KeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))),
    "P-256": KeySigner(ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())),
}
STATEMENT = statements.encode(statements.build([f"sha256:{'ab' * 32}"], statements.COSIGN_SIGNATURE, {}))


@pytest.fixture(params=sorted(KEYS))
def signer(request: pytest.FixtureRequest) -> KeySigner:
    return KEYS[request.param]


def test_signing_twice_gives_the_same_bytes(signer: KeySigner) -> None:
    assert signer.sign(STATEMENT) == signer.sign(STATEMENT)
    assert trust.signed(signer.sign(STATEMENT), [trust.KeyVerifier(signer.public)]).statement.predicate == {}


def test_a_nonce_of_rfc_6979_is_what_p_256_signs_with() -> None:
    # RFC 6979, appendix A.2.5: P-256, SHA-256, message "sample".
    key = ec.derive_private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1())
    signature = KeySigner(key).raw(b"sample")
    assert "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" in signature.hex()


def test_the_encoding_that_is_signed_is_the_one_of_the_specification() -> None:
    from signing.dsse import encoding

    assert encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_another_key_and_nobody_at_all_are_refused(signer: KeySigner) -> None:
    made = signer.sign(STATEMENT)
    other = KeySigner(ed25519.Ed25519PrivateKey.generate()).public
    with pytest.raises(Untrusted, match="another key"):
        trust.signed(made, [trust.KeyVerifier(other)])
    with pytest.raises(SigningError, match="nobody is trusted"):
        trust.signed(made, [])
    lying = bundle.of_key(made.envelope, other.hint)
    with pytest.raises(Untrusted, match="does not hold"):
        trust.signed(lying, [trust.KeyVerifier(other)])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v.update(mediaType="application/vnd.dev.sigstore.bundle.v0.2+json"), "its media type is"),
        (lambda v: v.pop("dsseEnvelope"), "dsseEnvelope is missing"),
        (lambda v: v["dsseEnvelope"]["signatures"].append({"sig": "AA=="}), "exactly one signature"),
        (lambda v: v["dsseEnvelope"].update(signatures=[]), "exactly one signature"),
        (lambda v: v["verificationMaterial"].update(certificate={"rawBytes": "AA=="}), "either a public key or"),
        (lambda v: v["verificationMaterial"].clear(), "either a public key or"),
        (lambda v: v["dsseEnvelope"].update(payload="A"), "is base64"),
        (lambda v: v["dsseEnvelope"].update(payload=" " + v["dsseEnvelope"]["payload"]), "is base64"),
        (lambda v: v["verificationMaterial"]["publicKey"].update(hint=""), "a hint that names the key"),
    ],
)
def test_a_bundle_is_parsed_strictly(change: object, says: str) -> None:
    value = json.loads(KEYS["P-256"].sign(STATEMENT).data)
    change(value)  # type: ignore[operator]
    with pytest.raises(SigningError, match=says):
        bundle.parse(json.dumps(value).encode())


def test_a_name_that_stands_twice_is_refused() -> None:
    data = KEYS["P-256"].sign(STATEMENT).data
    with pytest.raises(SigningError, match="twice"):
        bundle.parse(data[:-1] + b',"dsseEnvelope":{}}')


def test_keys_are_read_encrypted_or_not_and_problems_are_named() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert keys.private(pem(key), "", "k").public == keys.private(pem(key, b"secret"), "secret", "k").public
    with pytest.raises(SigningError, match=r"COSIGN_PASSWORD|password is wrong"):
        keys.private(pem(key, b"secret"), "", "k.pem")
    with pytest.raises(SigningError, match=r"k\.pem.*password is wrong"):
        keys.private(pem(key, b"secret"), "other", "k.pem")
    for wrong in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(SigningError, match="Ed25519 and P-256"):
            keys.private(pem(wrong), "", "k.pem")
    with pytest.raises(SigningError, match="no private key"):
        keys.private(b"nothing", "", "k.pem")
    with pytest.raises(SigningError, match="no public key"):
        keys.public(pem(key), "k.pem")


def test_a_key_of_cosign_is_opened_and_cosign_signs_for_a_service_that_holds_a_key(tmp_path: Path) -> None:
    cosign, env = program("cosign"), {**environment(tmp_path), "COSIGN_PASSWORD": "of the tests"}
    run(["sh", "-c", f"cd {tmp_path} && {' '.join(cosign)} generate-key-pair"], env)
    opened = keys.private((tmp_path / "cosign.key").read_bytes(), "of the tests", "cosign.key")
    assert opened.public == keys.public((tmp_path / "cosign.pub").read_bytes(), "cosign.pub")
    with pytest.raises(SigningError, match="password is wrong"):
        keys.private((tmp_path / "cosign.key").read_bytes(), "other", "cosign.key")
    # A key of a service is reached by the same two commands of cosign; here a file stands for the service.
    by_cosign = kms.CosignSigner(str(tmp_path / "cosign.key"), ("env", *(f"{k}={v}" for k, v in env.items()), *cosign))
    assert trust.signed(by_cosign.sign(STATEMENT), [trust.KeyVerifier(opened.public)]).signer == str(opened.public)


def test_what_is_attached_twice_is_one_referrer_and_other_tools_see_it(
    registry: Registry, certificates: Certificates, tmp_path: Path, signer: KeySigner
) -> None:
    source, root = image(tmp_path / "a", seed=30)
    path = f"signed/{'ed' if signer is KEYS['Ed25519'] else 'ec'}"
    env = environment(tmp_path, registry, certificates)
    statement = statements.encode(statements.build([str(root.digest)], statements.COSIGN_SIGNATURE, {}))
    (tmp_path / "key.pub").write_bytes(signer.public.pem)
    with Remote(Repository(registry.host, path), settings(registry, certificates)) as target:
        copy.copy(source, root.descriptor, target.for_writing(), ["1"])
        made = [attachment.attach(target, root, signer.sign(statement), statements.COSIGN_SIGNATURE) for _ in range(2)]
        assert made[0].digest == made[1].digest
        assert [each.manifest for each in attachment.find(target, root.digest)] == [made[0]]
    tree = json.loads(run([*program("oras"), "discover", "--format", "json", f"{registry.host}/{path}:1"], env).stdout)
    listed = tree.get("manifests") or tree.get("referrers")
    assert [each["digest"] for each in listed] == [str(made[0].digest)]
    assert listed[0]["artifactType"] == bundle.MEDIA_TYPE


def test_cosign_2_accepts_the_older_form(
    registry: Registry, certificates: Certificates, tmp_path: Path, signer: KeySigner
) -> None:
    source, root = image(tmp_path / "a", seed=31)
    path = f"older/{'ed' if signer is KEYS['Ed25519'] else 'ec'}"
    env = environment(tmp_path, registry, certificates)
    (tmp_path / "key.pub").write_bytes(signer.public.pem)
    (tmp_path / "other.pub").write_bytes(KeySigner(ec.generate_private_key(ec.SECP256R1())).public.pem)
    vex = statements.encode(statements.build([str(root.digest)], statements.OPENVEX, {"statements": []}))
    with Remote(Repository(registry.host, path), settings(registry, certificates)) as target:
        copy.copy(source, root.descriptor, target.for_writing(), ["1"])
        for _ in range(2):
            made = legacy.signature(target, root.digest, str(target), signer.raw)
            legacy.attestations(target, root.digest, [(statements.OPENVEX, signer.sign(vex))])
        assert target.resolve(f"sha256-{root.digest.hex}.sig").digest == made.digest
    words = ["--key", str(tmp_path / "key.pub"), "--insecure-ignore-tlog=true", f"{registry.host}/{path}:1"]
    cosign = program("cosign")
    seen = json.loads(run([*cosign, "verify", *words], env).stdout)
    assert seen[0]["critical"]["image"]["docker-manifest-digest"] == str(root.digest)
    answer = json.loads(run([*cosign, "verify-attestation", "--type", "openvex", *words], env).stdout)
    assert base64.b64decode(answer["payload"]) == vex
    run([*cosign, "verify", *[each.replace("key.pub", "other.pub") for each in words]], env, fails=True)
