"""Describe finished images: SBOMs and provenance beside their layouts, from what is really in them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines import contents, listings, materials, outputs
from pipelines.config import Project, Variant
from pipelines.errors import PipelineError
from pipelines.materials import Taken
from pipelines.platforms import Platform
from pipelines.source import Source
from sbom import check, cyclonedx, inventory, provenance, spdx, statements
from sbom.component import Locks
from sbom.errors import SbomError
from sbom.materials import Material


def images(
    built: Mapping[str, Mapping[str, Any]],
    output: Path,
    project: Project,
    source: Source,
    platforms: Sequence[Platform],
    engine: Mapping[str, Any],
    started: datetime,
    variant: Variant | None = None,
) -> tuple[str, ...]:
    """Describe the images of a build, by target, from what it left in its output folder; the names that their files have.

    Raises:
        PipelineError: something that was left cannot be read, or contradicts itself.
    """
    run = this_run(engine, started)
    known: contents.Known = {}
    names = []
    for platform in platforms:
        taken = materials.take(project, source, _archives(output, platform, platforms), platform, variant)
        for target, image in built.items():
            digest = image["digest"] if len(platforms) == 1 else image["platforms"][str(platform)]["digest"]
            name = outputs.image(target, platform, platforms)
            sboms(name, output, taken.of(target), taken.locks, known)
            proven(name, digest, output, project, source, platform, target, taken, run, variant)
            names.append(name)
    return tuple(names)


def _archives(output: Path, platform: Platform, platforms: Sequence[Platform]) -> dict[str, str]:
    """What was installed for a platform, by stage."""
    found = {}
    for stage in ("dependencies", "variant", "rust builder"):
        path = output / outputs.ARCHIVES.format(target=outputs.image(stage, platform, platforms))
        if path.exists():
            found[stage] = path.read_text()
    return found


def sboms(
    name: str, output: Path, built_from: Sequence[Material], locks: Locks, known: contents.Known | None = None
) -> None:
    """Write the SBOMs of an image, whose layout lies in the output folder.

    Raises:
        PipelineError: the layout cannot be read, or what is in it contradicts itself.
    """
    layout, slug = outputs.layout(output, name)
    found = contents.read(layout, known, slug, listings.folder())
    try:
        listed = inventory.take(found, locks)
    except SbomError as error:
        raise PipelineError(f"image {name}: {error}") from None
    documents = {
        outputs.SBOM: cyclonedx.document(listed, found),
        outputs.BUILD_SBOM: cyclonedx.build_document(listed, found, tuple(built_from)),
        outputs.SPDX: spdx.document(listed, found),
    }
    for kind, document in documents.items():
        if wrong := check.problems(document):
            raise PipelineError(f"{kind.format(target=name)} does not hang together: {'; '.join(wrong[:5])}")
        outputs.path(output, kind, name).write_bytes(cyclonedx.encode(document))


def proven(
    name: str,
    digest: str,
    output: Path,
    project: Project,
    source: Source,
    platform: Platform,
    target: str,
    taken: Taken,
    run: provenance.Run,
    variant: Variant | None = None,
) -> None:
    """Write the provenance of an image."""
    asked = {"target": target, "platform": str(platform)} | ({"variant": variant.name} if variant else {})
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
    outputs.path(output, outputs.PROVENANCE, name).write_bytes(cyclonedx.encode(value))


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
