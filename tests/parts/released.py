"""An output folder of a build, as small as can be, and a policy that its release passes."""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry.content import Manifest
from sbom import statements
from signing.keys import KeySigner
from tests.parts.sample import image

REVISION = "c0ffee" * 6 + "c0ff"
POLICY = """
[[signer]]
key = "key.pub"

[provenance]
builder = "urn:pipelines:builder:local"
repository = "https://example.org/team/app"
revision = "{revision}"

[sbom]
required = true

[vex]
required = true

[scan]
max-age-days = 7
"""


def key_files(folder: Path, seed: int = 7) -> KeySigner:
    """``key.pem`` and ``key.pub`` in a folder."""
    private = ec.derive_private_key(seed, ec.SECP256R1())
    signer = KeySigner(private)
    (folder / "key.pub").write_bytes(signer.public.pem)
    (folder / "key.pem").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return signer


def dist(folder: Path, seed: int, when: str, revision: str = REVISION, verdict: str = "pass") -> Manifest:
    """What a build leaves for one target, ``distroless``."""
    _, root = image(folder / "distroless", seed=seed, size=5000)
    source = f"git+https://example.org/team/app@{revision}"
    predicate = {
        "buildDefinition": {
            "buildType": "urn:pipelines:image:v1",
            "externalParameters": {"source": source, "target": "distroless"},
            "resolvedDependencies": [{"uri": source, "digest": {"gitCommit": revision}}],
        },
        "runDetails": {"builder": {"id": "urn:pipelines:builder:local"}},
    }
    provenance = statements.encode(statements.build([str(root.digest)], statements.SLSA_PROVENANCE, predicate))
    component = {"type": "library", "name": "urllib3", "version": "2.8.0", "purl": "pkg:pypi/urllib3@2.8.0"}
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [component]}
    vex = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "urn:test",
        "author": "tests",
        "version": 1,
        "statements": [],
    }
    scan = {"verdict": verdict, "metadata": {"scanFinishedOn": when}}
    for name, data in {
        "provenance/distroless.json": provenance,
        "sbom/distroless.cdx.json": json.dumps(bom).encode(),
        "vex/distroless.openvex.json": json.dumps(vex).encode(),
        "scan/verdict.json": json.dumps(scan).encode(),
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return root
