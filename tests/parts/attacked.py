"""A released image in a layout folder, and what an attacker does to it: bytes replaced, with every digest made to fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from images.errors import ImageError
from pipelines import attestations, verify
from registry import content
from registry.content import Manifest
from registry.errors import RegistryError
from registry.layout import Layout
from sbom import statements
from signing import attachment, bundle
from signing.dsse import Envelope, encoding
from signing.keys import KeySigner
from tests.parts.released import REVISION, dist
from verification import decide, policy, summary

NOW = datetime(2026, 1, 2, tzinfo=UTC)
REBUILT = "[rebuild]\nrequired = true\n[base]\nmax-age-days = 30\n"
"""What a policy asks for beside tests.parts.released.POLICY."""


def released(folder: Path, seed: int, signer: KeySigner, revision: str = REVISION) -> tuple[Layout, Manifest]:
    """A layout with its image and five attestations."""
    root = dist(folder, seed, "2026-01-01T00:00:00Z", revision)
    source = Layout(folder / "distroless")
    said, absent = attestations.of(
        folder, "distroless", str(root.digest), attestations.gate(folder, "", datetime(2026, 1, 1, tzinfo=UTC))
    )
    assert absent == ["sbom/distroless.spdx.json"]
    said.append(summary.of_rebuild(str(root.digest), str(folder), str(root.digest), NOW))
    for each in said:
        attachment.attach(source, root, signer.sign(statements.encode(each)), each.predicate_type)
    return source, root


def verdict(folder: Path, rules: policy.Policy, now: datetime = NOW) -> str:
    """Nothing if the image may be used, else why not."""
    options = verify.arguments().parse_args([str(folder), "--policy", "unused"])
    try:
        told = verify.verify(str(folder), rules, options, now)
    except (RegistryError, ImageError) as error:
        return f"unreadable: {error}"
    failed = [each for checks in told["checks"].values() for each in checks if each["outcome"] == decide.FAILED]
    assert told["accepted"] == (not failed)
    return "; ".join(f"{each['name']}: {each['reason']}" for each in failed)


def rewritten(layout: Layout, old: attachment.Attachment, data: bytes) -> None:
    """Replace a bundle by other bytes, with every digest around it made to fit, as an attacker would."""
    index = json.loads((layout.folder / "index.json").read_bytes())
    index["manifests"] = [each for each in index["manifests"] if each["digest"] != str(old.manifest.digest)]
    (layout.folder / "index.json").write_text(json.dumps(index))
    assert old.bundle and old.manifest.subject
    fake = bundle.Bundle(data, old.bundle.envelope, old.bundle.hint)
    subject = layout.manifest(old.manifest.subject.digest)
    attachment.attach(layout, subject, fake, dict(old.manifest.annotations)["dev.sigstore.bundle.predicateType"])


def attested(layout: Layout, root: Manifest, kind: str) -> attachment.Attachment:
    """What is attached to an image under a predicate type."""
    return next(each for each in attachment.find(layout, root.digest) if kind in str(each.manifest.annotations))


@dataclass
class Attack:
    """A copy of a released image that a test may spoil, and what is at an attacker's hand."""

    layout: Layout
    root: Manifest
    rules: policy.Policy
    signer: KeySigner
    stranger: KeySigner

    def spoilt(self, kind: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a bundle's JSON."""
        old = attested(self.layout, self.root, kind)
        assert old.bundle
        value = json.loads(old.bundle.data)
        change(value)
        rewritten(self.layout, old, json.dumps(value).encode())

    def payload(self, kind: str) -> dict[str, Any]:
        old = attested(self.layout, self.root, kind)
        assert old.bundle
        found: dict[str, Any] = json.loads(old.bundle.envelope.payload)
        return found

    def signed(self, kind: str, payload: bytes, payload_type: str = "application/vnd.in-toto+json") -> None:
        """Put other bytes in the place of a statement, signed by the right key."""
        envelope = Envelope(payload, self.signer.raw(encoding(payload_type, payload)), payload_type)
        made = bundle.of_key(envelope, self.signer.public.hint)
        rewritten(self.layout, attested(self.layout, self.root, kind), made.data)

    def says(self, kind: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Let the right key sign a changed statement."""
        value = self.payload(kind)
        change(value)
        self.signed(kind, json.dumps(value).encode())

    def index(self, change: Callable[[dict[str, Any]], object]) -> None:
        path = self.layout.folder / "index.json"
        value = json.loads(path.read_bytes())
        change(value)
        path.write_text(json.dumps(value))

    def referrer(self, kind: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the manifest that carries a bundle."""
        old = attested(self.layout, self.root, kind).manifest
        value = json.loads(old.data)
        change(value)
        self.index(lambda v: v.update(manifests=[e for e in v["manifests"] if e["digest"] != str(old.digest)]))
        self.layout.put_manifest(content.manifest(json.dumps(value).encode()))
