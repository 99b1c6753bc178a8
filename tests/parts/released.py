"""An output folder of a build, as small as can be, and a policy that its release passes."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipelines import contents
from registry.content import Manifest
from sbom import cyclonedx, inventory, statements
from scanning import gate
from scanning.policy import Policy
from scanning.report import findings
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
            "resolvedDependencies": [
                {"uri": source, "digest": {"gitCommit": revision}},
                {
                    "uri": "urn:pipelines:archive:debian:trixie:20251220T000000Z:InRelease",
                    "annotations": {"archiveTimestamp": "20251220T000000Z", "stages": ["runtime base"]},
                },
            ],
        },
        "runDetails": {"builder": {"id": "urn:pipelines:builder:local"}},
    }
    provenance = statements.encode(statements.build([str(root.digest)], statements.SLSA_PROVENANCE, predicate))
    found = contents.read(folder / "distroless")
    bom = cyclonedx.document(inventory.take(found), found)
    vex = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "urn:test",
        "author": "tests",
        "version": 1,
        "statements": [],
    }
    scan = _scan(folder, str(json.loads(root.data)["config"]["digest"]), when, verdict)
    for name, data in {
        "provenance/distroless.json": provenance,
        "sbom/distroless.cdx.json": json.dumps(bom).encode(),
        "vex/distroless.openvex.json": json.dumps(vex).encode(),
        "scan/verdict.json": json.dumps(scan).encode(),
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return root


def _scan(folder: Path, image: str, when: str, verdict: str) -> dict[str, Any]:
    """A verdict of the gate's own, and the report that it was judged by."""
    secret = {"RuleID": "rule", "Severity": "CRITICAL", "Title": "a key"}
    results = [{"Target": "app/main.py", "Class": "secret", "Secrets": [secret]}] if verdict == "fail" else []
    report = {"SchemaVersion": 2, "CreatedAt": when, "Metadata": {"ImageID": image}, "Results": results}
    data = json.dumps(report).encode()
    (folder / "scan").mkdir(exist_ok=True)
    (folder / "scan/distroless.json").write_bytes(data)
    database = gate.Database(problem="no such host") if verdict == "incomplete" else gate.Database("sha256:1", when)
    reports = {"distroless": f"sha256:{hashlib.sha256(data).hexdigest()}"}
    clock, found = datetime.fromisoformat(when), findings(report, "distroless")
    given = gate.Inputs(Policy(), (), database, clock, reports, found)
    return gate.document(given, gate.judge(given), {"uri": "pkg:github/aquasecurity/trivy", "version": "0"}, [when])
