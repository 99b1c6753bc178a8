"""What a release says of an image: the statements that are signed, from what a build left in its output folder."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines import outputs
from pipelines import verdict as judging
from pipelines.errors import PipelineError
from sbom import statements
from sbom.errors import SbomError
from sbom.statements import Statement
from scanning.gate import judge

_DOCUMENTS = ((statements.CYCLONEDX, outputs.SBOM), (statements.SPDX, outputs.SPDX), (statements.OPENVEX, outputs.VEX))


def gate(dist: Path, accepted: str, now: datetime) -> dict[str, Any]:
    """The scan's verdict, if a release may go on with it: repeated from what it was judged by, and judged as of now.

    What is signed is the verdict as it was given, so that a release that is made twice signs the same bytes.

    Raises:
        PipelineError: it is not "pass"; or it is incomplete, and no reason to accept that was given; or it is not what
            its inputs and the reports give.
    """
    path = dist / outputs.VERDICT
    value = outputs.read_json(path) if path.exists() else {"verdict": "incomplete", "reason": f"{path} is not there"}
    verdict = value.get("verdict")
    if path.exists():
        given, _ = judging.again(dist)
        today = judge(replace(given, clock=now))
        if today.verdict != verdict:
            value, verdict = {**value, "reason": "; ".join(today.reasons)}, today.verdict
    if verdict == "pass":
        return value
    if verdict == "incomplete" and accepted:
        return {**value, "acceptedIncomplete": accepted}
    if verdict == "incomplete":
        raise PipelineError(
            f"the scan is incomplete ({value.get('reason', 'see ' + str(path))}): not released; "
            '--accept-incomplete-scan "reason" releases all the same, and the reason is signed'
        )
    raise PipelineError(f"the scan's verdict is {verdict!r} ({path}): not released")


def of(dist: Path, target: str, digest: str, verdict: dict[str, Any]) -> tuple[list[Statement], list[str]]:
    """The statements about an image, the signature first, and the names of what the build left out.

    Raises:
        PipelineError: a file cannot be read, or is about another image.
    """
    made = [statements.build([digest], statements.COSIGN_SIGNATURE, {})]
    absent = []
    for kind, name in _DOCUMENTS:
        path = dist / name.format(target=target)
        if path.exists():
            made.append(statements.build([digest], kind, outputs.read_json(path)))
        else:
            absent.append(name.format(target=target))
    made.append(statements.build([digest], statements.SCAN_VERDICT, verdict))
    path = dist / outputs.PROVENANCE.format(target=target)
    if not path.exists():
        return made, [*absent, outputs.PROVENANCE.format(target=target)]
    try:
        provenance = statements.parse(path.read_bytes())
    except (OSError, SbomError) as error:
        raise PipelineError(f"{path}: {error}") from None
    if provenance.predicate_type != statements.SLSA_PROVENANCE or not provenance.is_about(digest):
        raise PipelineError(f"{path} is no provenance of {digest}: it does not belong to this image")
    return [*made, statements.build([digest], statements.SLSA_PROVENANCE, provenance.predicate)], absent
