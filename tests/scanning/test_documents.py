"""VEX documents and SARIF as other people's libraries read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scanning import unreached, vex
from scanning.exceptions import Exemption
from tests.parts.kept import wheels

DIST = Path(__file__).parents[2] / "dist"
ABOUT = vex.Product(
    "app", "sha256:" + "ab" * 32, "pkg:oci/app@sha256%3A" + "ab" * 32, "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
    {"pypi:h11": ("h11", "pkg:pypi/h11@0.14.0"), "deb:zlib": ("zlib1g", "pkg:deb/debian/zlib1g@1.3?arch=amd64")},
    "2026-01-01T00:00:00Z",
)  # fmt: skip
#: With a justification that no harm is done, and with an end to the harm that is.
EXCEPTIONS = [
    Exemption("CVE-2030-1", "pkg:pypi/h11@0.14.0", "", "behind a proxy", "ada@example.org", date(2026, 2, 1), why)
    for why in ("", "vulnerable_code_cannot_be_controlled_by_adversary", "component_not_present")
] + [Exemption("CVE-2030-2", "zlib1g", "", "waits for Debian", "Ada Lovelace", date(2026, 2, 1))]
TODAY = date(2026, 1, 2)
READ = {
    "OpenVEX": "import sys, vexipy; vexipy.Document.from_json(sys.stdin.read())",
    "SARIF": "import sys, pydantic_sarif.model as m\n"
    "m.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate_json(sys.stdin.read())",
}


def read(form: str, value: Any) -> bool:
    """Whether the form's library takes a document."""
    done = subprocess.run(
        [sys.executable, "-c", READ[form]],
        env={**os.environ, "PYTHONPATH": str(wheels("readers"))},
        input=json.dumps(value),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert not done.returncode or "ValidationError" in done.stderr, done.stderr
    return not done.returncode


@pytest.mark.parametrize("exceptions", [EXCEPTIONS, []])
def test_exceptions_become_valid_documents_of_openvex_and_cyclonedx(exceptions: list[Exemption]) -> None:
    made = vex.openvex(exceptions, ABOUT, TODAY)
    assert len(made["statements"]) == len(exceptions)
    if exceptions:
        assert read("OpenVEX", made)
        assert not read("OpenVEX", {**made, "statements": [{**made["statements"][0], "status": "maybe"}]})
        assert not read("OpenVEX", {key: value for key, value in made.items() if key != "author"})
    text = json.dumps(vex.cyclonedx(exceptions, ABOUT, TODAY))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_the_reports_of_a_build_are_sarif() -> None:
    found = sorted((DIST / "scan").glob("*.sarif"))
    if not found:
        pytest.skip("dist/ holds no reports; make build makes them")
    for each in found:
        value = json.loads(each.read_bytes())
        assert read("SARIF", value), each
    assert not read("SARIF", {**value, "runs": [{}]})


@pytest.mark.parametrize("name", ["openvex", "cdx"])
def test_the_vex_documents_of_a_build_are_valid(name: str) -> None:
    found = sorted((DIST / "vex").glob(f"*.{name}.json"))
    if not found:
        pytest.skip("dist/ holds no VEX documents; make build makes them")
    for each in found:
        if name == "cdx":
            assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(each.read_text()) is None
        else:
            assert read("OpenVEX", json.loads(each.read_bytes()))


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ('Get "https://mirror.example/v2/": dial tcp: lookup mirror.example on 10.1.2.3:53: no such host', "its name is not known here"),
        ("dial tcp: lookup mirror.example on 10.1.2.3:53: read udp 10.1.2.9:4711->10.1.2.3:53: i/o timeout", "its name is not known here"),
        ("dial tcp 10.1.2.3:443: connect: connection refused", "it cannot be reached"),
        ("GET https://r.example/v2/x/manifests/2: unexpected status code 429 Too Many Requests", "it takes no more requests for now"),
        # The first source refused, the second is not known: who has a login to renew wants to know.
        ("GET https://r.example/v2/: UNAUTHORIZED: x\nlookup s.example: no such host", "the login is missing, or refused"),
        ("something new on 10.1.2.3", "it could not be downloaded"),
    ],
)  # fmt: skip
def test_a_failed_download_is_told_by_its_class_alone(said: str, cause: str) -> None:
    assert unreached.cause(said) == cause
