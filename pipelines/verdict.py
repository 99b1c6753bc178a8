"""The verdict on a build's scans, with its VEX documents: written, read, and repeated from what it was judged by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from images import compare
from images.errors import ImageError
from pipelines import outputs
from pipelines.config import Project
from pipelines.errors import PipelineError
from scanning import gate, report, vex
from scanning.errors import ScanError
from scanning.gate import Database

SOURCE = "source"


def write(
    out: Path,
    project: Project,
    targets: Sequence[str],
    database: Database,
    program: Mapping[str, str],
    now: datetime,
) -> dict[str, Any]:
    """Judge what a build has scanned; write ``scan/verdict.json`` and the targets' VEX documents. The verdict's document.

    ``program`` is the scanner: ``uri`` and ``digest`` of the archive that it came in.

    Raises:
        PipelineError: a report, an SBOM or the exceptions cannot be read.
    """
    given, document = judged(out, project, (SOURCE, *targets), database, program, now)
    outputs.path(out, outputs.VERDICT).write_bytes(_encoded(document))
    for target in targets:
        place = out / outputs.SBOM.format(target=target)
        about = vex.product(outputs.json_object(place.read_bytes(), place))
        today = given.clock.astimezone(UTC).date()
        for name, made_of in ((outputs.VEX, vex.openvex), (outputs.CYCLONEDX_VEX, vex.cyclonedx)):
            outputs.path(out, name, target).write_bytes(_encoded(made_of(given.exceptions, about, today)))
    return document


def judged(
    out: Path,
    project: Project,
    targets: Sequence[str],
    database: Database,
    program: Mapping[str, str],
    now: datetime,
) -> tuple[gate.Inputs, dict[str, Any]]:
    """What is judged, the reports on these targets in a folder, and the verdict's document; errors as :func:`write`."""
    found = {target: place for target in targets if (place := _report(out, target)).exists()}
    data = {target: place.read_bytes() for target, place in found.items()}
    values = {target: outputs.json_object(data[target], place) for target, place in found.items()}
    findings = [each for target, value in values.items() for each in _findings(value, target)]
    given = gate.Inputs(
        project.scan,
        project.exempt(),
        database,
        now.replace(microsecond=0),
        {target: _digest(data[target]) if target in data else "" for target in targets},
        tuple(findings),
    )
    versions = {str((value.get("Trivy") or {}).get("Version", "")) for value in values.values()} - {""}
    scanner = {"uri": "pkg:github/aquasecurity/trivy", **program, "version": ", ".join(sorted(versions))}
    made = [when for value in values.values() if (when := report.made(value))]
    return given, gate.document(given, gate.judge(given), scanner, made)


def again(out: Path) -> tuple[gate.Inputs, gate.Verdict]:
    """The verdict in an output folder, judged again: from what, its findings read from the reports beside it, and to what.

    Raises:
        PipelineError: there is none, it is not what its inputs give, or a report is another or about another image.
    """
    place = out / outputs.VERDICT
    try:
        value = outputs.json_object(place.read_bytes(), place)
        said, given = gate.repeated(value, str(place)), gate.inputs(value, str(place))
        findings: list[report.Finding] = []
        for target, digest in given.reports.items():
            if digest:
                findings += report.findings(_untouched(out, target, digest), target)
    except OSError as error:
        raise PipelineError(f"{place}: {error.strerror}") from None
    except ScanError as error:
        raise PipelineError(str(error)) from None
    if stray := set(given.findings) - set(findings):
        raise PipelineError(f"{place} tells of {min(stray).id}, which no report holds")
    given = replace(given, findings=tuple(sorted(findings)))
    found = gate.judge(given)
    if (found.verdict, found.reasons) != (said.verdict, said.reasons):
        raise PipelineError(
            f"{place} says {said.verdict!r}, and the reports beside it give {found.verdict!r}; scan again"
        )
    return given, found


def _untouched(out: Path, target: str, digest: str) -> dict[str, Any]:
    """A report that is the one that was judged, about the image that lies beside it."""
    place = _report(out, target)
    try:
        data = place.read_bytes()
    except OSError as error:
        raise PipelineError(f"{place}: {error.strerror}") from None
    if _digest(data) != digest:
        raise PipelineError(f"{place} is not the report that was judged, whose digest is {digest}; scan again")
    value = outputs.json_object(data, place)
    layout, platform = outputs.layout(out, target)
    if (layout / "index.json").exists():
        try:
            config = compare.manifest_of(layout, platform)[1]["config"]["digest"]
        except (ImageError, KeyError, TypeError) as error:
            raise PipelineError(f"{out / target}: not an image that can be read: {error}") from None
        if report.image(value) != config:
            raise PipelineError(f"{place} is about another image than the one in {out / target}; scan again")
    return value


def _report(out: Path, target: str) -> Path:
    return out / outputs.REPORT.format(target=target)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _encoded(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _findings(value: dict[str, Any], target: str) -> tuple[report.Finding, ...]:
    try:
        return report.findings(value, target)
    except ScanError as error:
        raise PipelineError(str(error)) from None
