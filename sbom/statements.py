"""in-toto Statements v1 (in-toto/attestation, spec/v1/statement.md): something is said of what has these digests.

Subjects are matched by digest only; a name is a convenience of whoever wrote it: the digest is written there, and no
name is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sbom.errors import SbomError

TYPE = "https://in-toto.io/Statement/v1"
MEDIA_TYPE = "application/vnd.in-toto+json"

SLSA_PROVENANCE = "https://slsa.dev/provenance/v1"
VERIFICATION_SUMMARY = "https://slsa.dev/verification_summary/v1"
CYCLONEDX = "https://cyclonedx.org/bom"
SPDX = "https://spdx.dev/Document"
OPENVEX = "https://openvex.dev/ns"
SCAN_VERDICT = "https://in-toto.io/attestation/vulns/v0.2"
COSIGN_SIGNATURE = "https://sigstore.dev/cosign/sign/v1"

_NAMES = ("_type", "subject", "predicateType", "predicate")
_FOLDED = [name.casefold() for name in _NAMES]
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Statement:
    """``subjects`` are digests ``sha256:<hex>``, at least one, sorted and unique."""

    subjects: tuple[str, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.subjects:
            raise SbomError("a statement without a subject says nothing; name the digest that it is about")
        for digest in self.subjects:
            if not _DIGEST.fullmatch(digest):
                raise SbomError(f"subject {digest!r} of a statement is no sha256:<64 hexadecimal digits>")
        if list(self.subjects) != sorted(set(self.subjects)):
            raise SbomError("the subjects of a statement are sorted and unique")
        if not self.predicate_type:
            raise SbomError("a statement without a predicate type cannot be read by anyone; name one")

    def is_about(self, digest: str) -> bool:
        return digest in self.subjects


def build(digests: Iterable[str], predicate_type: str, predicate: Mapping[str, Any]) -> Statement:
    """A statement about all that has one of these digests (``sha256:<hex>``)."""
    return Statement(tuple(sorted(set(digests))), predicate_type, predicate)


def encode(statement: Statement) -> bytes:
    """The bytes that are signed: one form for one value (sorted keys, no spaces, UTF-8)."""
    value = {
        "_type": TYPE,
        # Optional in the specification; sigstore-python signs and verifies no statement whose subjects lack a name.
        "subject": [
            {"digest": {"sha256": digest.removeprefix("sha256:")}, "name": digest} for digest in statement.subjects
        ],
        "predicateType": statement.predicate_type,
        "predicate": statement.predicate,
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse(data: bytes) -> Statement:
    """A statement from its bytes; subjects without a SHA-256 are left out.

    Raises:
        SbomError: not a Statement v1 (v0.1 is refused too), one that others could read otherwise, or without a subject
            that has a SHA-256.
    """
    try:
        value = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise SbomError(f"not an in-toto statement: not JSON: {error}") from None
    if not isinstance(value, dict) or value.get("_type") != TYPE:
        found = value.get("_type") if isinstance(value, dict) else type(value).__name__
        raise SbomError(f"not an in-toto Statement v1: its type is {found!r}, expected {TYPE!r}")
    # Go's JSON takes a name in any case, ours in one: what reads differently there is refused.
    if twins := [name for name in value if name not in _NAMES and name.casefold() in _FOLDED]:
        raise SbomError(f"not an in-toto Statement v1: {twins[0]!r} is a field's name in another case")
    subjects, kind, predicate = value.get("subject"), value.get("predicateType"), value.get("predicate", {})
    if not isinstance(subjects, list) or not isinstance(kind, str) or not isinstance(predicate, dict):
        raise SbomError("not an in-toto Statement v1: subject, predicateType or predicate is missing or mistyped")
    digests = [_sha256(subject) for subject in subjects]
    return build([f"sha256:{digest}" for digest in digests if digest], kind, predicate)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in one JSON object")
    return value


def _sha256(subject: object) -> str:
    digests = subject.get("digest") if isinstance(subject, dict) else None
    found = digests.get("sha256") if isinstance(digests, dict) else None
    return found if isinstance(found, str) else ""
