"""Three hundred and more seeded mutations of a released image: each is refused for its own reason; no network."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from images.manifest import encode
from registry import content, copy
from registry.content import Manifest
from registry.layout import Layout
from sbom import statements
from signing import attachment, bundle
from signing.keys import KeySigner
from tests.parts.attacked import NOW, REBUILT, attested, released, rewritten, verdict
from tests.parts.released import POLICY, REVISION, key_files
from verification import policy

KINDS = (
    statements.COSIGN_SIGNATURE,
    statements.CYCLONEDX,
    statements.OPENVEX,
    statements.SCAN_VERDICT,
    statements.SLSA_PROVENANCE,
    statements.VERIFICATION_SUMMARY,
)
NAMES = dict(zip(KINDS, ("signature", "sbom", "vex", "scan", "provenance", "rebuild"), strict=True))
FLIPS = 50


def test_every_mutation_is_refused_for_its_own_reason(tmp_path: Path) -> None:
    signer = key_files(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION) + REBUILT)
    rules = policy.read(tmp_path / "policy.toml")
    source, root = released(tmp_path / "good", 50, signer)
    other, other_root = released(tmp_path / "old", 51, signer, "0" * 40)
    assert verdict(source.folder, rules) == ""
    passed, count = [], 0
    for name, says in _mutations(source, root, other, other_root, signer, tmp_path / "bad"):
        why = verdict(tmp_path / "bad", rules)
        count += 1
        if not why or says not in why:
            passed.append(f"{name}: {why or 'accepted'} (expected {says})")
        shutil.rmtree(tmp_path / "bad")
    assert passed == []
    assert count >= 300
    assert verdict(source.folder, rules) == ""


def _build(predicate: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = predicate["buildDefinition"]
    return found


_UNTRUE: tuple[tuple[str, str, str, Callable[[dict[str, Any]], object]], ...] = (
    ("sbom lacks a component", statements.CYCLONEDX, "in the image and not in the document", lambda p: p["components"].pop()),
    ("sbom has one too many", statements.CYCLONEDX, "in the document and not in the image",
     lambda p: p["components"].append({"type": "library", "name": "x", "bom-ref": "x"})),
    ("sbom with another version", statements.CYCLONEDX, "in the image, 99 in the document",
     lambda p: p["components"][0].update(version="99")),
    ("sbom of another image", statements.CYCLONEDX, "it is about sha256:0",
     lambda p: p["metadata"]["component"].update(version="sha256:0")),
    ("sbom that says complete", statements.CYCLONEDX, "not what the image gives", lambda p: p.update(compositions=[])),
    ("sbom of no form", statements.CYCLONEDX, "can be compared", lambda p: p.update(metadata=[])),
    ("another builder", statements.SLSA_PROVENANCE, "builder is urn:x", lambda p: p["runDetails"]["builder"].update(id="urn:x")),
    ("another repository", statements.SLSA_PROVENANCE, "repository is https://evil.example/app",
     lambda p: _build(p)["externalParameters"].update(source="git+https://evil.example/app@" + REVISION)),
    ("an old base", statements.SLSA_PROVENANCE, "base: the base is",
     lambda p: _build(p)["resolvedDependencies"][1]["annotations"].update(archiveTimestamp="20250101T000000Z")),
    ("a base of the future", statements.SLSA_PROVENANCE, "base: the base is",
     lambda p: _build(p)["resolvedDependencies"][1]["annotations"].update(archiveTimestamp="20270101T000000Z")),
    ("a base without a time", statements.SLSA_PROVENANCE, "does not tell of when the base is",
     lambda p: _build(p)["resolvedDependencies"].pop()),
    ("a rebuild that failed", statements.VERIFICATION_SUMMARY, "summary says 'FAILED'", lambda p: p.update(verificationResult="FAILED")),
    ("a summary by another verifier", statements.VERIFICATION_SUMMARY, "another verifier", lambda p: p["verifier"].update(id="x")),
    ("a summary of another policy", statements.VERIFICATION_SUMMARY, "another policy", lambda p: p["policy"].update(uri="x")),
    ("a summary that claims less", statements.VERIFICATION_SUMMARY, "does not claim", lambda p: p.update(verifiedLevels=[])),
    ("a scan of the future", statements.SCAN_VERDICT, "days old", lambda p: p["metadata"].update(scanFinishedOn="2026-03-01T00:00:00Z")),
    ("a scan without a verdict", statements.SCAN_VERDICT, "the verdict is not told", lambda p: p.pop("verdict")),
)  # fmt: skip


def _mutations(
    source: Layout, root: Manifest, other: Layout, other_root: Manifest, signer: KeySigner, bad: Path
) -> Iterator[tuple[str, str]]:
    """Makes each mutant in a folder; yields its name and what the refusal has to say."""
    rng = random.Random(6)

    def fresh() -> Layout:
        shutil.copytree(source.folder, bad)
        return Layout(bad)

    # A bit anywhere in anything that has a digest.
    blobs = sorted((source.folder / "blobs/sha256").iterdir())
    for number in range(160):
        chosen = blobs[number % len(blobs)]
        layout = fresh()
        data = bytearray(chosen.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (layout.folder / "blobs/sha256" / chosen.name).write_bytes(data)
        yield f"bit in {chosen.name[:12]}", chosen.name[:12]
    # A byte of a bundle's payload, signature or key hint, all digests made to fit.
    for kind in KINDS:
        name = NAMES[kind]
        for number in range(FLIPS // 2):
            layout = fresh()
            old = attested(layout, root, kind)
            assert old.bundle
            envelope = old.bundle.envelope
            part = bytearray(envelope.payload if number % 2 else envelope.signature)
            part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
            changed = (
                bundle.Envelope(bytes(part), envelope.signature)
                if number % 2
                else bundle.Envelope(envelope.payload, bytes(part))
            )
            rewritten(layout, old, bundle.of_key(changed, old.bundle.hint).data)
            yield f"{kind} byte {number}", f"{name}: there is no"
        layout = fresh()
        index = json.loads((bad / "index.json").read_bytes())
        gone = attested(layout, root, kind).manifest
        index["manifests"] = [each for each in index["manifests"] if each["digest"] != str(gone.digest)]
        (bad / "index.json").write_text(json.dumps(index))
        yield f"missing {kind}", f"{name}: there is no"
        # The other image's attestation, put under this one; and one by another key.
        layout = fresh()
        old = attested(layout, root, kind)
        theirs = attested(other, other_root, kind)
        assert theirs.bundle and old.bundle
        rewritten(layout, old, theirs.bundle.data)
        yield f"swapped {kind}", "another image"
        layout = fresh()
        stranger = KeySigner(ec.derive_private_key(99, ec.SECP256R1()))
        rewritten(layout, old, stranger.sign(old.bundle.envelope.payload).data)
        yield f"stranger {kind}", "another key"
    # A signed "fail" beside nothing else is no signature, and beside all else it counts.
    layout = fresh()
    failed = {"verdict": "fail", "metadata": {"scanFinishedOn": "2026-01-01T12:00:00Z"}}
    said = statements.encode(statements.build([str(root.digest)], statements.SCAN_VERDICT, failed))
    attachment.attach(layout, root, signer.sign(said), statements.SCAN_VERDICT)
    yield "newer fail", "the verdict is fail"
    layout = fresh()
    index = json.loads((bad / "index.json").read_bytes())
    (bad / "index.json").write_text(json.dumps({**index, "manifests": index["manifests"][:1]}))
    attachment.attach(layout, root, signer.sign(said), statements.SCAN_VERDICT)
    yield "only a signed fail", "signature: there is no signature"
    # What is signed by the right signer, and is not true or not good enough.
    for name, kind, says, change in _UNTRUE:
        layout = fresh()
        old = attested(layout, root, kind)
        assert old.bundle
        value = json.loads(old.bundle.envelope.payload)
        change(value["predicate"])
        rewritten(layout, old, signer.sign(json.dumps(value, sort_keys=True).encode()).data)
        yield name, says
    # The old image with its own good signatures, put in the place of the new one.
    copy.copy(other, other_root.descriptor, Layout(bad, create=True), [""])
    yield "replayed", "revision is " + "0" * 40
    layout = fresh()
    (bad / "index.json").write_bytes(b'{"schemaVersion":2,"manifests":[]}')
    yield "empty index", "holds 0 images"


def _platforms(folder: Path, seed: int, signer: KeySigner, revision: str = REVISION) -> tuple[Layout, Manifest]:
    """A signed index of two signed images, with all that belongs to them."""
    whole, entries = Layout(folder, create=True), []
    for place, name in enumerate(("amd64", "arm64")):
        part, root = released(folder.with_name(f"{folder.name}-{name}"), seed + place, signer, revision)
        copy.copy(part, root.descriptor, whole, [])
        entries.append({**root.descriptor.to_json(), "platform": {"os": "linux", "architecture": name}})
    return whole, _indexed(whole, entries, signer)


def _indexed(layout: Layout, entries: list[dict[str, Any]], signer: KeySigner | None) -> Manifest:
    """Make an index of entries what a layout holds; signed, if by someone."""
    made = content.manifest(encode({"schemaVersion": 2, "mediaType": content.INDEX, "manifests": entries}))
    layout.put_manifest(made)
    listed = json.loads((layout.folder / "index.json").read_bytes())
    bundles = [each for each in listed["manifests"] if each.get("artifactType")]
    (layout.folder / "index.json").write_text(json.dumps({**listed, "manifests": bundles}))
    layout.tag("", made)
    if signer:
        said = statements.build([str(made.digest)], statements.COSIGN_SIGNATURE, {})
        attachment.attach(layout, made, signer.sign(statements.encode(said)), statements.COSIGN_SIGNATURE)
    return made


def test_every_mutation_of_an_index_of_platforms_is_refused_for_its_own_reason(tmp_path: Path) -> None:
    signer = key_files(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION) + REBUILT)
    rules = policy.read(tmp_path / "policy.toml")
    source, root = _platforms(tmp_path / "good", 55, signer)
    old, _ = _platforms(tmp_path / "old", 57, signer, "0" * 40)
    assert verdict(source.folder, rules) == "" == verdict(source.folder, rules)
    bad, passed, rng = tmp_path / "bad", [], random.Random(7)

    def check(name: str, says: str) -> None:
        why = verdict(bad, rules)
        if not why or says not in why:
            passed.append(f"{name}: {why or 'accepted'} (expected {says})")
        shutil.rmtree(bad)

    blobs = sorted((source.folder / "blobs/sha256").iterdir())
    for number in range(3 * len(blobs)):
        chosen = blobs[number % len(blobs)]
        shutil.copytree(source.folder, bad)
        data = bytearray(chosen.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (bad / "blobs/sha256" / chosen.name).write_bytes(data)
        check(f"bit in {chosen.name[:12]}", chosen.name[:12])
    entries = json.loads(root.data)["manifests"]
    theirs = json.loads(old.manifest(old.resolve(None).digest).data)["manifests"]
    for name, listed in (
        ("images in another order", entries[::-1]),
        ("an image less", entries[:1]),
        ("an image twice", [*entries, entries[0]]),
        ("another platform", [{**entries[0], "platform": entries[1]["platform"]}, entries[1]]),
        ("an old image in it", [entries[0], theirs[1]]),
    ):
        shutil.copytree(source.folder, bad)
        copy.copy(old, old.manifest(content.Digest.parse(theirs[1]["digest"])).descriptor, Layout(bad), [])
        _indexed(Layout(bad), listed, None)
        check(name, "signature: there is no signature")
    shutil.copytree(source.folder, bad)
    copy.copy(old, old.manifest(content.Digest.parse(theirs[1]["digest"])).descriptor, Layout(bad), [])
    _indexed(Layout(bad), [entries[0], theirs[1]], signer)
    check("an old image in it, signed", "revision is " + "0" * 40)
    for digest in (str(root.digest), *(each["digest"] for each in entries)):
        shutil.copytree(source.folder, bad)
        index = json.loads((bad / "index.json").read_bytes())
        gone = {str(each.digest) for each in Layout(bad).referrers(content.Digest.parse(digest))}
        index["manifests"] = [each for each in index["manifests"] if each["digest"] not in gone]
        (bad / "index.json").write_text(json.dumps(index))
        check(f"{digest} alone is not signed", f"there is no signature of {digest}")
    shutil.copytree(old.folder, bad)
    check("an old index with its own signatures", "revision is " + "0" * 40)
    assert passed == []


def test_a_byte_of_index_json_changes_nothing_or_is_refused(tmp_path: Path) -> None:
    """No digest is of these bytes: they may only point at what is signed, whatever they say."""
    signer = key_files(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION) + REBUILT)
    rules = policy.read(tmp_path / "policy.toml")
    source, root = released(tmp_path / "good", 59, signer)
    place, rng, refused = source.folder / "index.json", random.Random(8), 0
    data = place.read_bytes()
    for _ in range(200):
        changed = bytearray(data)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        place.write_bytes(changed)
        why = verdict(source.folder, rules)
        refused += bool(why)
        assert why or source.resolve(None).digest == root.digest
    assert refused > 100


@pytest.mark.parametrize("days", [8, 400])
def test_a_scan_that_is_too_old_is_refused_later(tmp_path: Path, days: int) -> None:
    signer = key_files(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION))
    rules = policy.read(tmp_path / "policy.toml")
    released(tmp_path / "good", 52, signer)
    assert verdict(tmp_path / "good/distroless", rules) == ""
    why = verdict(tmp_path / "good/distroless", rules, NOW + timedelta(days=days))
    assert why.startswith(f"scan: the scan is {days + 1}.0 days old")
