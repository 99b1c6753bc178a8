"""Verification summaries (slsa.dev/spec/v1.1/verification_summary): somebody has rebuilt an image to the same digest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sbom.statements import VERIFICATION_SUMMARY, Statement, build

VERIFIER = "urn:pipelines:verifier:rebuild:v1"
#: The rule that was applied: the revision that the provenance names is built again, and the digests are equal.
POLICY = "urn:pipelines:policy:rebuild:v1"
#: A level of our own beside SLSA's tracks: the digest was reproduced.
REPRODUCED = "PIPELINES_REPRODUCED"


def of_rebuild(digest: str, resource: str, provenance: str, when: datetime) -> Statement:
    """The summary of a rebuild that gave ``digest`` again; ``provenance`` is the digest of the statement it followed."""
    predicate = {
        "verifier": {"id": VERIFIER},
        "timeVerified": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resourceUri": resource,
        "policy": {"uri": POLICY},
        "inputAttestations": [{"digest": {"sha256": provenance.removeprefix("sha256:")}}],
        "verificationResult": "PASSED",
        "verifiedLevels": ["SLSA_BUILD_LEVEL_1", REPRODUCED],
        "slsaVersion": "1.1",
    }
    return build([digest], VERIFICATION_SUMMARY, predicate)


def problem(predicate: Mapping[str, Any]) -> str:
    """Why a summary does not say that the image was rebuilt to the same digest; nothing if it does."""
    verifier, policy, levels = predicate.get("verifier"), predicate.get("policy"), predicate.get("verifiedLevels")
    if predicate.get("verificationResult") != "PASSED":
        return f"the verification summary says {predicate.get('verificationResult')!r}"
    if not isinstance(verifier, dict) or verifier.get("id") != VERIFIER:
        return "the verification summary is by another verifier than one that rebuilds"
    if not isinstance(policy, dict) or policy.get("uri") != POLICY:
        return "the verification summary is of another policy than a rebuild"
    if not isinstance(levels, list) or REPRODUCED not in levels:
        return f"the verification summary does not claim {REPRODUCED}"
    return ""
