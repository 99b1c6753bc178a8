"""Statements: what is signed, and what is refused."""

from __future__ import annotations

import json

import pytest

from sbom import statements
from sbom.errors import SbomError

DIGEST = "sha256:" + "a" * 64


def test_a_statement_has_one_form_of_bytes() -> None:
    made = statements.build([DIGEST, DIGEST], statements.OPENVEX, {"b": 1, "a": "é"})
    assert statements.encode(made).decode() == (
        '{"_type":"https://in-toto.io/Statement/v1","predicate":{"a":"é","b":1},'
        '"predicateType":"https://openvex.dev/ns","subject":[{"digest":{"sha256":"'
        + "a" * 64
        + f'"}},"name":"{DIGEST}"}}]}}'
    )
    assert statements.parse(statements.encode(made)) == made


def test_a_subject_is_matched_by_digest_and_never_by_name() -> None:
    data = {
        "_type": statements.TYPE,
        "subject": [{"name": DIGEST, "digest": {"sha256": "b" * 64}}],
        "predicateType": "x",
        "predicate": {},
    }
    assert not statements.parse(json.dumps(data).encode()).is_about(DIGEST)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "v0.1"),
        ({"subject": []}, "without a subject"),
        ({"subject": [{"name": "x"}]}, "without a subject"),
        ({"subject": [{"digest": {"sha256": "A" * 64}}]}, "no sha256:"),
        ({"subject": "x"}, "mistyped"),
        ({"predicateType": 1}, "mistyped"),
        ({"predicateType": ""}, "predicate type"),
        ({"predicate": []}, "mistyped"),
    ],
)
def test_a_statement_that_is_none_is_refused_with_its_reason(change: dict[str, object], message: str) -> None:
    data = {
        "_type": statements.TYPE,
        "subject": [{"digest": {"sha256": "a" * 64}}],
        "predicateType": "x",
        "predicate": {},
    }
    with pytest.raises(SbomError, match=message):
        statements.parse(json.dumps(data | change).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b'"x"'])
def test_bytes_that_are_no_statement_are_one_clear_error(data: bytes) -> None:
    with pytest.raises(SbomError, match="not an in-toto"):
        statements.parse(data)
