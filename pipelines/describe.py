"""Describe finished images: SBOMs and provenance beside their layouts, from what is really in them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines import contents, listings, materials, outputs
from pipelines.config import Project, Variant
from pipelines.errors import PipelineError
from pipelines.materials import Taken
from pipelines.source import Source
from sbom import check, cyclonedx, inventory, provenance, spdx, statements
from sbom.errors import SbomError


def images(
    digests: Mapping[str, str],
    output: Path,
    project: Project,
    source: Source,
    platform: str,
    engine: Mapping[str, Any],
    started: datetime,
    variant: Variant | None = None,
) -> None:
    """Describe the images of a build, by target, from what it left in its output folder.

    Raises:
        PipelineError: something that was left cannot be read, or contradicts itself.
    """
    archives = {path.stem: path.read_text() for path in sorted((output / "archives").glob("*.json"))}
    taken = materials.take(project, source, archives, variant)
    run = this_run(engine, started)
    known: contents.Known = {}
    for target, digest in digests.items():
        sboms(target, output, taken, known)
        proven(target, digest, output, project, source, platform, taken, run, variant)


def sboms(target: str, output: Path, taken: Taken, known: contents.Known | None = None) -> None:
    """Write the SBOMs of a target, whose layout lies in the output folder.

    Raises:
        PipelineError: the layout cannot be read, or what is in it contradicts itself.
    """
    found = contents.read(output / target, known, listings.folder())
    try:
        listed = inventory.take(found, taken.locks)
    except SbomError as error:
        raise PipelineError(f"image {target}: {error}") from None
    documents = {
        outputs.SBOM: cyclonedx.document(listed, found),
        outputs.BUILD_SBOM: cyclonedx.build_document(listed, found, taken.of(target)),
        outputs.SPDX: spdx.document(listed, found),
    }
    for name, document in documents.items():
        if wrong := check.problems(document):
            raise PipelineError(f"{name.format(target=target)} does not hang together: {'; '.join(wrong[:5])}")
        outputs.path(output, name, target).write_bytes(cyclonedx.encode(document))


def proven(
    target: str,
    digest: str,
    output: Path,
    project: Project,
    source: Source,
    platform: str,
    taken: Taken,
    run: provenance.Run,
    variant: Variant | None = None,
) -> None:
    """Write the provenance of a target."""
    asked = {"target": target, "platform": platform} | ({"variant": variant.name} if variant else {})
    settings = {
        "name": project.name,
        "requirements": project.requirements,
        "variantRequirements": variant.requirements if variant else "",
        "variantPackages": variant.packages if variant else "",
        "rust": project.rust,
        "rustCrate": project.rust_crate,
        "source": list(project.source),
        "sourceDateEpoch": source.epoch,
    }
    definition = provenance.Definition(
        {"source": _source_ref(taken), **asked},
        {key: value for key, value in settings.items() if value},
        taken.of(target),
    )
    statement = provenance.statement(digest, definition, run)
    value = json.loads(statements.encode(statement))
    outputs.path(output, outputs.PROVENANCE, target).write_bytes(cyclonedx.encode(value))


def _source_ref(taken: Taken) -> str:
    return next(material.ref for material in taken.materials if "source" in material.stages)


def this_run(engine: Mapping[str, Any], started: datetime, environ: Mapping[str, str] = os.environ) -> provenance.Run:
    """Who runs this, as far as the environment tells: a workflow of GitHub Actions, or somebody's machine."""
    builder, invocation = provenance.LOCAL_BUILDER, ""
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    if environ.get("GITHUB_ACTIONS") == "true" and environ.get("GITHUB_WORKFLOW_REF"):
        builder = f"{server}/{environ['GITHUB_WORKFLOW_REF']}"
        run, attempt = environ.get("GITHUB_RUN_ID", ""), environ.get("GITHUB_RUN_ATTEMPT", "1")
        invocation = f"{server}/{repository}/actions/runs/{run}/attempts/{attempt}"
    versions = {str(engine["kind"]): str(engine["version"])}
    return provenance.Run(builder, versions, _time(started), _time(datetime.now(UTC)), invocation)


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
