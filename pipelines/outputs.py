"""What a build leaves in its output folder, by name; the image layout of a target is the folder of its name.

One folder a kind, one file a target: `release` attests from here, `verify` and `explain` read from here. Of a build for several
platforms a layout holds an index, and there is one file an image: `distroless-arm-v7`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError
from pipelines.platforms import Platform

#: ``{"predicateType", …}``: an in-toto Statement v1 whose subject is the image's manifest.
PROVENANCE = "provenance/{target}.json"
#: CycloneDX 1.6 of what is in the image, and of what built it; SPDX 2.3 of the first.
SBOM, BUILD_SBOM, SPDX = "sbom/{target}.cdx.json", "sbom/{target}.build.cdx.json", "sbom/{target}.spdx.json"
#: Trivy's reports of an image; ``source`` is a target too here.
REPORT, SARIF = "scan/{target}.json", "scan/{target}.sarif"
#: pass, fail or incomplete, with all that it was judged by: the one of a whole build.
VERDICT = "scan/verdict.json"
#: The archives that a stage installed with pip: ``[{name, version, file, sha256}]``; the target is the stage.
ARCHIVES = "archives/{target}.json"
#: The exceptions that are in force, as OpenVEX and as CycloneDX.
VEX, CYCLONEDX_VEX = "vex/{target}.openvex.json", "vex/{target}.cdx.json"


def path(output: Path, name: str, target: str = "") -> Path:
    """The place of a file, its folder made."""
    place = output / name.format(target=target)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def json_object(data: bytes, place: Path) -> dict[str, Any]:
    """A JSON object of a file; raises PipelineError for something else."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise PipelineError(f"{place} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise PipelineError(f"{place} holds no JSON object")
    return value


def read_json(place: Path, remedy: str = "") -> dict[str, Any]:
    """The JSON object in a file; raises PipelineError, with the remedy, where the file cannot be read."""
    try:
        data = place.read_bytes()
    except OSError as error:
        raise PipelineError(f"{place}: {error.strerror}{remedy}") from None
    return json_object(data, place)


def image(target: str, platform: Platform, platforms: Sequence[Platform]) -> str:
    """What an image's files are called, for {target}: by its platform too where several were built."""
    return target if len(platforms) == 1 else f"{target}-{platform.slug}"


def layout(output: Path, name: str) -> tuple[Path, str]:
    """The layout that holds the image of a name, and the image's platform in it ("" where it is the only one)."""
    target, _, slug = name.partition("-")
    return output / target, slug
