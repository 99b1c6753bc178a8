"""A Trivy database from advisories of the tests' own writing, built by trivy-db from the forms that it takes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parts.go import on_path, programs


@dataclass(frozen=True)
class Advisory:
    """A hole in a Python package (or, with ``ecosystem``, in another) before ``fixed``; "" if nothing fixes it."""

    cve: str
    package: str
    fixed: str
    severity: str = "HIGH"
    ecosystem: str = "PyPI"

    def osv(self) -> dict[str, Any]:
        """As OSV writes it (ossf.github.io/osv-schema), in the form that GitHub's advisories have."""
        events = [{"introduced": "0"}, *([{"fixed": self.fixed}] if self.fixed else [])]
        return {
            "schema_version": "1.4.0",
            "id": f"GHSA-test-{self.cve.rpartition('-')[2]}-test",
            "aliases": [self.cve],
            "modified": "2030-01-01T00:00:00Z",
            "published": "2030-01-01T00:00:00Z",
            "summary": f"A hole in {self.package}",
            "details": "Written for a test.",
            "affected": [
                {
                    "package": {"ecosystem": self.ecosystem, "name": self.package},
                    "ranges": [{"type": "ECOSYSTEM", "events": events}],
                }
            ],
            "database_specific": {"severity": self.severity},
        }


@dataclass(frozen=True)
class Debian:
    """A hole in a source package of Debian 13, without a fix, and of this urgency."""

    cve: str
    source: str
    urgency: str = "medium"

    def write(self, tracker: Path) -> None:
        description = "(Written for a test.)"
        annotation = {
            "Type": "package",
            "Package": self.source,
            "Kind": "unfixed",
            "Version": "",
            "Severity": self.urgency,
        }
        _json(
            tracker / "CVE" / f"{self.cve}.json",
            {"Header": {"ID": self.cve, "Description": description}, "Annotations": [annotation]},
        )
        source = {"Package": [self.source], "Version": ["0"]}
        _json(tracker / "source/trixie/main" / self.source[0] / f"{self.source}.json", source)


def database(folder: Path, advisories: Sequence[Advisory], debian: Sequence[Debian] = ()) -> Path:
    """A folder with ``trivy.db`` and ``metadata.json``; skips the test where trivy-db cannot be built."""
    program = programs("trivy-db") / "trivy-db"
    for each in advisories:
        osv = each.osv()
        _json(folder / "lists/ghsa/advisories/github-reviewed/2030/01" / osv["id"] / f"{osv['id']}.json", osv)
    (folder / "lists/cocoapods-specs/Specs").mkdir(parents=True, exist_ok=True)
    tracker = folder / "lists/vuln-list-debian/tracker"
    _json(tracker / "distributions.json", {"trixie": {"major-version": "13", "support": "security", "contact": ""}})
    for kind in ("CVE", "DLA", "DSA", "source", "updates-source"):
        (tracker / kind).mkdir(exist_ok=True)
    for one in debian:
        one.write(tracker)
    words = [program, "build", "--cache-dir", folder / "lists", "--output-dir", folder / "db"]
    for name in ("ghsa", "debian"):
        words += ["--only-update", name]
    done = subprocess.run(words, env=on_path(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "db"


def _json(place: Path, value: object) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(value))
