"""What an attacker, or a signer who is wrong, would try: one by one, by hand; each is refused for its own reason."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from images.manifest import encode
from pipelines import verify
from registry import content, copy, layout
from registry.errors import RegistryError
from registry.layout import Layout
from sbom import statements
from signing import attachment
from tests.parts.attacked import Attack, attested, released, rewritten, verdict
from verification.policy import Provenance

SIGNATURE, SBOM, VEX = statements.COSIGN_SIGNATURE, statements.CYCLONEDX, statements.OPENVEX
SCAN, PROVENANCE = statements.SCAN_VERDICT, statements.SLSA_PROVENANCE
SUMMARY = statements.VERIFICATION_SUMMARY
DEEP = b"[" * 200_000
OTHER = "ab" * 32


def test_what_is_attacked_here_is_accepted_as_it_is(attack: Attack) -> None:
    assert verdict(attack.layout.folder, attack.rules) == ""


def _stranger_in_disguise(a: Attack) -> None:
    old = attested(a.layout, a.root, SIGNATURE)
    assert old.bundle
    theirs = json.loads(a.stranger.sign(old.bundle.envelope.payload).data)
    theirs["verificationMaterial"]["publicKey"]["hint"] = a.signer.public.hint
    rewritten(a.layout, old, json.dumps(theirs).encode())


def _bytes(kind: str, change: Callable[[bytes], bytes]) -> Callable[[Attack], None]:
    def spoil(a: Attack) -> None:
        old = attested(a.layout, a.root, kind)
        assert old.bundle
        rewritten(a.layout, old, change(old.bundle.data))

    return spoil


def _envelope(**changes: Any) -> Callable[[Attack], None]:
    return lambda a: a.spoilt(SIGNATURE, lambda v: v["dsseEnvelope"].update(changes))


def _two_signatures(a: Attack) -> None:
    a.spoilt(SIGNATURE, lambda v: v["dsseEnvelope"]["signatures"].append({"sig": base64.b64encode(b"x" * 70).decode()}))


def _certificate_instead(a: Attack) -> None:
    made = {"certificate": {"rawBytes": base64.b64encode(b"0" * 300).decode()}}
    a.spoilt(SIGNATURE, lambda v: v.update(verificationMaterial=made))


def _old_line_breaks(v: dict[str, Any]) -> None:
    text = v["dsseEnvelope"]["payload"]
    v["dsseEnvelope"]["payload"] = text[:76] + "\n" + text[76:]


#: The signature's bundle, changed by someone who has no key that counts.
BUNDLES: dict[str, tuple[Callable[[Attack], None], str]] = {
    "a stranger's signature under the right key's name": (_stranger_in_disguise, "does not hold"),
    "the right signature under a stranger's name": (
        lambda a: a.spoilt(SIGNATURE, lambda v: v["verificationMaterial"]["publicKey"].update(hint=a.stranger.public.hint)),
        "signed by another key",
    ),
    "a second signature": (_two_signatures, "holds exactly one signature"),
    "another payload type over the same signature": (_envelope(payloadType="text/plain"), "does not hold"),
    "the payload of another statement": (
        lambda a: _envelope(payload=base64.b64encode(json.dumps(a.payload(SBOM)).encode()).decode())(a), "does not hold",
    ),
    "a name that stands twice": (_bytes(SIGNATURE, lambda d: d[:-1] + b',"dsseEnvelope":{}}'), "stands twice"),
    "the media type of an older bundle": (
        lambda a: a.spoilt(SIGNATURE, lambda v: v.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2")),
        "not a Sigstore bundle v0.3",
    ),
    "a certificate beside the key": (
        lambda a: a.spoilt(SIGNATURE, lambda v: v["verificationMaterial"].update(certificate={"rawBytes": "AAAA"})),
        "either a public key or a certificate",
    ),
    "a certificate in the place of the key": (_certificate_instead, "signed by an identity, not by a key"),
    "base64 with a line break": (lambda a: a.spoilt(SIGNATURE, _old_line_breaks), "payload is base64"),
    "an empty signature": (_envelope(signatures=[{"sig": ""}]), "sig is base64, and not empty"),
    "a signature over bytes instead of an envelope": (
        lambda a: a.spoilt(SIGNATURE, lambda v: v.update(messageSignature=v.pop("dsseEnvelope"))), "dsseEnvelope is missing",
    ),
    "nested two hundred thousand deep": (_bytes(SIGNATURE, lambda _: DEEP), "not a Sigstore bundle"),
    "no JSON": (_bytes(SIGNATURE, lambda d: d + b"{}"), "not a Sigstore bundle"),
    "a referrer of another artifact type": (
        lambda a: a.referrer(SIGNATURE, lambda v: v.update(artifactType="application/vnd.example")), "there is no signature",
    ),
    "a referrer of another image": (
        lambda a: a.referrer(SIGNATURE, lambda v: v["subject"].update(digest="sha256:" + OTHER)), "there is no signature",
    ),
    "two bundles in one referrer": (
        lambda a: a.referrer(SIGNATURE, lambda v: v.update(layers=v["layers"] * 2)), "does not hold one bundle",
    ),
    "a bundle that is said to have a terabyte": (
        lambda a: a.referrer(SIGNATURE, lambda v: v["layers"][0].update(size=1 << 40)), "does not hold one bundle",
    ),
    "a bundle that is said to be longer than it is": (
        lambda a: a.referrer(SIGNATURE, lambda v: v["layers"][0].update(size=1 << 20)), "1048576 bytes was asked for",
    ),
    "a bundle that is not there": (
        lambda a: a.referrer(SIGNATURE, lambda v: v["layers"][0].update(digest="sha256:" + OTHER)), "has no blob",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_that_was_tampered_with_is_no_signature(attack: Attack, name: str) -> None:
    spoil, says = BUNDLES[name]
    spoil(attack)
    why = verdict(attack.layout.folder, attack.rules)
    assert why.startswith("signature: there is no signature") and says in why


def _raw(kind: str, change: Callable[[bytes], bytes]) -> Callable[[Attack], None]:
    return lambda a: a.signed(kind, change(json.dumps(a.payload(kind)).encode()))


def _says(kind: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Attack], None]:
    return lambda a: a.says(kind, change)


def _predicate(kind: str, **changes: Any) -> Callable[[Attack], None]:
    return _says(kind, lambda v: v["predicate"].update(changes))


def _subjects(*digests: dict[str, str]) -> Callable[[dict[str, Any]], object]:
    return lambda v: v.update(subject=[{"name": v["subject"][0]["name"], "digest": each} for each in digests])


def _upper(v: dict[str, Any]) -> None:
    v["subject"][0]["digest"]["sha256"] = v["subject"][0]["digest"]["sha256"].upper()


def _twin(v: dict[str, Any]) -> None:
    listed = v["predicate"]["components"]
    listed.insert(0, {**listed[0], "version": "99"})


def _behind_a_property(v: dict[str, Any]) -> None:
    one = v["predicate"]["components"][0]
    one.setdefault("properties", []).append({"name": "name", "value": one["name"]})
    one["name"] = "something-else"


def _other_product(v: dict[str, Any]) -> None:
    product = {"@id": "pkg:oci/x", "hashes": {"sha-256": OTHER}}
    said = {"vulnerability": {"name": "CVE-1"}, "products": [product], "status": "not_affected"}
    v["predicate"]["statements"].append(said)


def _source(v: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = v["predicate"]["buildDefinition"]
    return found


def _without_source(v: dict[str, Any]) -> None:
    del _source(v)["externalParameters"]["source"]


def _other_commit(v: dict[str, Any]) -> None:
    _source(v)["resolvedDependencies"][0]["digest"]["gitCommit"] = "d" * 40


#: Statements by the right key that are of another form, about something else, or not what the policy asks for.
STATEMENTS: dict[str, tuple[Callable[[Attack], None], str]] = {
    "a payload type that is not in-toto's": (
        lambda a: a.signed(PROVENANCE, json.dumps(a.payload(PROVENANCE)).encode(), "application/json"), "not an in-toto statement",
    ),
    "a predicate type with a space behind": (_says(PROVENANCE, lambda v: v.update(predicateType=PROVENANCE + " ")), "provenance: there is no"),
    "a predicate type of an older version": (
        _says(PROVENANCE, lambda v: v.update(predicateType="https://slsa.dev/provenance/v0.2")), "provenance: there is no",
    ),
    "a predicate type in capitals": (_says(SBOM, lambda v: v.update(predicateType=SBOM.upper())), "sbom: there is no"),
    "an SBOM that calls itself a signature": (_says(SBOM, lambda v: v.update(predicateType=SIGNATURE)), "sbom: there is no"),
    "no predicate type": (_says(SBOM, lambda v: v.update(predicateType="")), "without a predicate type"),
    "an older statement": (_says(VEX, lambda v: v.update(_type="https://in-toto.io/Statement/v0.1")), "not an in-toto Statement v1"),
    "a predicate that is a list": (_says(VEX, lambda v: v.update(predicate=[])), "missing or mistyped"),
    "a digest in capitals": (_says(SIGNATURE, _upper), "is no sha256"),
    "another algorithm's digest": (_says(SIGNATURE, _subjects({"sha512": OTHER * 2})), "without a subject"),
    "this image's name and another's digest": (_says(SIGNATURE, _subjects({"sha256": OTHER})), "another image"),
    "many subjects and not this image": (
        _says(SIGNATURE, _subjects({"sha256": OTHER}, {"sha256": "cd" * 32})), "another image",
    ),
    "no subject": (_says(SIGNATURE, _subjects()), "without a subject"),
    "a subject that stands twice": (_raw(SIGNATURE, lambda d: d[:-1] + b',"subject":[]}'), "stands twice"),
    "a subject in another case": (_raw(SIGNATURE, lambda d: d[:-1] + b',"Subject":[]}'), "name in another case"),
    "a statement nested too deep": (_raw(SIGNATURE, lambda d: d[:-1] + b',"x":' + DEEP), "not JSON"),
    "a VEX document of nothing": (_says(VEX, lambda v: v.update(predicate={})), "vex: what is attested as VEX is no OpenVEX"),
    "a VEX document about another image": (_says(VEX, _other_product), "vex: the VEX document tells of another image"),
    "a component that stands twice": (_says(SBOM, _twin), "a bom-ref stands for two components"),
    "a component that hides its name": (_says(SBOM, _behind_a_property), "name is"),
    "an SBOM without components": (_predicate(SBOM, components=[]), "in the image and not in the document"),
    "a verdict in capitals": (_predicate(SCAN, verdict="PASS"), "the verdict is PASS"),
    "a verdict that is a list": (_predicate(SCAN, verdict=["pass"]), "the verdict is not told"),
    "a scan at no time": (_predicate(SCAN, metadata={"scanFinishedOn": "yesterday"}), "does not tell when"),
    "a builder whose name begins alike": (
        _says(PROVENANCE, lambda v: v["predicate"]["runDetails"]["builder"].update(id="urn:pipelines:builder:local.example")),
        "builder is urn:pipelines:builder:local.example",
    ),
    "another commit of the same source": (_says(PROVENANCE, _other_commit), "revision is " + "d" * 40),
    "a provenance without a source": (_says(PROVENANCE, _without_source), "repository is not told"),
    "a provenance of lists": (_predicate(PROVENANCE, buildDefinition=[], runDetails=[]), "builder is not told"),
    "a rebuild that passed in other letters": (_predicate(SUMMARY, verificationResult="passed"), "summary says 'passed'"),
    "a rebuild by nobody": (_predicate(SUMMARY, verifier="rebuild"), "another verifier"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_by_the_right_key_counts_only_for_what_it_says_of_this_image(attack: Attack, name: str) -> None:
    spoil, says = STATEMENTS[name]
    spoil(attack)
    assert says in verdict(attack.layout.folder, attack.rules)


@pytest.mark.parametrize("when", ["2026-01-01T00:00:00Z", "yesterday", ""])
def test_a_signed_fail_counts_beside_a_pass_of_the_same_time_and_without_any(attack: Attack, when: str) -> None:
    failed = {"verdict": "fail", "metadata": {"scanFinishedOn": when}}
    made = statements.encode(statements.build([str(attack.root.digest)], SCAN, failed))
    attachment.attach(attack.layout, attack.root, attack.signer.sign(made), SCAN)
    assert "scan: the verdict is fail" in verdict(attack.layout.folder, attack.rules)


WORKFLOW = "https://github.com/{}/.github/workflows/{}@refs/tags/v1"


@pytest.mark.parametrize(
    ("builder", "says"),
    [
        (WORKFLOW.format("team/app", "release.yml"), ""),
        (WORKFLOW.format("team/app", "other.yml"), "workflow is .github/workflows/other.yml"),
        (WORKFLOW.format("team/app", "release.yml.evil/x.yml"), "workflow is .github/workflows/release.yml.evil"),
        ("https://example.org/.github/workflows/release.yml", "builder is https://example.org"),
        ("urn:pipelines:builder:local", "workflow is not told"),
    ],
)
def test_a_policy_can_ask_for_a_workflow(attack: Attack, builder: str, says: str) -> None:
    wanted = Provenance(("https://github.com/team/*", "urn:*"), workflow=(".github/workflows/release.yml",))
    attack.says(PROVENANCE, lambda v: v["predicate"]["runDetails"]["builder"].update(id=builder))
    why = verdict(attack.layout.folder, replace(attack.rules, provenance=wanted))
    assert says in why and bool(why) == bool(says)


def test_a_statement_about_several_images_counts_for_each(attack: Attack) -> None:
    attack.says(SIGNATURE, lambda v: v["subject"].append({"name": "x", "digest": {"sha256": OTHER}}))
    assert verdict(attack.layout.folder, attack.rules) == ""


def _another_image_beside(a: Attack) -> None:
    made = content.manifest(encode({**json.loads(a.root.data), "annotations": {"x": "y"}}))
    a.layout.put_manifest(made)
    a.layout.tag("", made)


def _other_root(value: dict[str, Any]) -> Callable[[Attack], None]:
    """The image under the same name is another one, with its bytes signed by nobody."""

    def spoil(a: Attack) -> None:
        data = encode({**json.loads(a.root.data), **value})
        path = a.layout.folder / "blobs/sha256" / content.Digest.of(data).hex
        path.write_bytes(data)
        entry = {"mediaType": a.root.media_type, "digest": f"sha256:{path.name}", "size": len(data)}
        a.index(
            lambda v: v.update(manifests=[entry, *(e for e in v["manifests"] if e["digest"] != str(a.root.digest))])
        )

    return spoil


def _index_around(a: Attack) -> None:
    made = content.manifest(
        encode({"schemaVersion": 2, "mediaType": content.INDEX, "manifests": [a.root.descriptor.to_json()]})
    )
    a.layout.put_manifest(made)
    a.index(lambda v: v.update(manifests=[e for e in v["manifests"] if e["digest"] != str(a.root.digest)]))
    a.layout.tag("", made)


def _deep_index(a: Attack) -> None:
    (a.layout.folder / "index.json").write_bytes(b'{"manifests":' + DEEP)


def _index_twice(a: Attack) -> None:
    path = a.layout.folder / "index.json"
    path.write_bytes(path.read_bytes()[:-1] + b',"manifests":[]}')


def _other_version(a: Attack) -> None:
    (a.layout.folder / "oci-layout").write_text('{"imageLayoutVersion":"9"}')


LAYOUTS: dict[str, tuple[Callable[[Attack], None], str]] = {
    "another image beside": (_another_image_beside, "holds 2 images"),
    "a manifest with one annotation more": (_other_root({"annotations": {"x": "y"}}), "there is no signature"),
    "a layer less": (lambda a: _other_root({"layers": json.loads(a.root.data)["layers"][:1]})(a), "there is no signature"),
    "a manifest that is an index too": (_other_root({"manifests": []}), "does not fit its fields"),
    "a manifest of another type": (_other_root({"mediaType": "application/json"}), "is not one of"),
    "a layer that is said to be smaller": (
        lambda a: _other_root({"layers": [{**json.loads(a.root.data)["layers"][0], "size": 1}]})(a), "there is no signature",
    ),
    "an index around the image that nobody signed": (_index_around, "there is no signature"),
    "an index.json nested too deep": (_deep_index, "is no index"),
    "an index.json that says two things": (_index_twice, "stands twice"),
    "a layout of another version": (_other_version, "of version '9'"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_that_holds_something_else_is_refused(attack: Attack, name: str) -> None:
    spoil, says = LAYOUTS[name]
    spoil(attack)
    assert says in verdict(attack.layout.folder, attack.rules)


def test_a_replayed_index_of_old_attestations_is_refused_for_what_it_is_about(attack: Attack, tmp_path: Path) -> None:
    old, old_root = released(tmp_path / "old", 81, attack.signer)
    for each in attachment.find(old, old_root.digest):
        copy.send(copy.graph(old, each.manifest.descriptor), old, attack.layout)
    # The old ones beside the new ones do no harm; in their place they are about another image, whoever they refer to.
    assert verdict(attack.layout.folder, attack.rules) == ""
    for each in list(attachment.find(attack.layout, attack.root.digest)):
        kind = dict(each.manifest.annotations)["dev.sigstore.bundle.predicateType"]
        theirs = attested(old, old_root, kind).bundle
        assert theirs
        rewritten(attack.layout, each, theirs.data)
    assert f"it is about {old_root.digest}, another image" in verdict(attack.layout.folder, attack.rules)


TARS = ("blobs/sha256/../../../escaped", "/escaped", "index.json", "blobs/sha256/" + "AB" * 32, "blobs/sha256/" + OTHER)


@pytest.mark.parametrize("name", TARS)
def test_a_tar_with_a_file_that_no_layout_has_is_refused_and_nothing_escapes(
    attack: Attack, tmp_path: Path, name: str
) -> None:
    layout.to_tar(attack.layout, tmp_path / "site.tar")
    assert verdict(tmp_path / "site.tar", attack.rules) == ""
    with tarfile.open(tmp_path / "site.tar", "a") as tar:
        info = tarfile.TarInfo(name)
        info.size = 2
        if name.endswith(OTHER):
            info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
        tar.addfile(info, io.BytesIO(b"{}"))
    assert "does not belong into a tar of an image layout" in verdict(tmp_path / "site.tar", attack.rules)
    assert not list(tmp_path.rglob("escaped")) and not Path("/escaped").exists()


def test_what_nobody_signed_is_not_read_at_all(attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    attack.index(lambda v: v.update(manifests=[e for e in v["manifests"] if e["digest"] == str(attack.root.digest)]))
    read = []
    monkeypatch.setattr(Layout, "blob", lambda _, wanted: read.append(wanted))
    assert "there is no signature" in verdict(attack.layout.folder, attack.rules)
    assert read == []


def test_a_stranger_s_words_do_not_steer_the_terminal(
    attack: Attack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    evil = "\x1b[2K\raccepted\n\u202eaccepted"
    attack.spoilt(SIGNATURE, lambda v: v["verificationMaterial"]["publicKey"].update(hint=evil))
    (tmp_path / "key.pub").write_bytes(attack.signer.public.pem)
    (tmp_path / "policy.toml").write_text('[[signer]]\nkey = "key.pub"\n')
    assert verify.main([str(attack.layout.folder), "--policy", str(tmp_path / "policy.toml")]) == verify.REFUSED
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\r" not in said and "\u202e" not in said
    assert said.splitlines().count("accepted") == 0 and said.splitlines()[-1] == "REFUSED"


def test_a_manifest_larger_than_registries_take_is_not_read(attack: Attack) -> None:
    _other_root({"annotations": {"x": "y" * content.MAX_MANIFEST}})(attack)
    assert "too large to be a manifest" in verdict(attack.layout.folder, attack.rules)


@pytest.mark.parametrize("data", [DEEP, b'{"schemaVersion":2,"schemaVersion":2}', b"\xff", b"9" * 5000])
def test_a_manifest_that_is_no_json_is_one_error(data: bytes) -> None:
    with pytest.raises(RegistryError, match="a manifest is JSON"):
        content.manifest(data)
