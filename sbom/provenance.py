"""SLSA build provenance (slsa.dev/spec/v1.1/provenance) of an image.

``buildDefinition`` is a function of what was built and from what, so that a rebuild gives it again, byte for byte; what
one run alone can say (who, with what engine, when) stands in ``runDetails``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sbom.materials import Material
from sbom.statements import SLSA_PROVENANCE, Statement, build

#: What the parameters mean: README, "Provenance".
BUILD_TYPE = "urn:pipelines:image:v1"
LOCAL_BUILDER = "urn:pipelines:builder:local"
#: What a build claims by itself. More than that is for whoever runs it to prove: by the identity that signs it, out of
#: reach of the build's steps.
LEVEL = 1


@dataclass(frozen=True, slots=True)
class Definition:
    """What was asked for: ``parameters`` from outside (target, platform), ``settings`` of the project."""

    parameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    materials: tuple[Material, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: times as RFC 3339 in UTC, ``versions`` of what ran it, ``invocation`` if there is an address of it."""

    builder: str
    versions: Mapping[str, str]
    started: str
    finished: str
    invocation: str = ""


def statement(digest: str, definition: Definition, run: Run) -> Statement:
    """The statement about the image whose manifest has this digest."""
    metadata = {"startedOn": run.started, "finishedOn": run.finished, "pipelines_claimedBuildLevel": LEVEL}
    if run.invocation:
        metadata["invocationId"] = run.invocation
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": dict(definition.parameters),
            "internalParameters": dict(definition.settings),
            "resolvedDependencies": _descriptors(definition.materials),
        },
        "runDetails": {"builder": {"id": run.builder, "version": dict(run.versions)}, "metadata": metadata},
    }
    return build([digest], SLSA_PROVENANCE, predicate)


def _descriptors(materials: Sequence[Material]) -> list[dict[str, Any]]:
    unique = {material.ref: material for material in materials}
    return [_descriptor(unique[ref]) for ref in sorted(unique)]


def _descriptor(material: Material) -> dict[str, Any]:
    digest = {"sha256": material.sha256} if material.sha256 else {}
    if material.commit:
        digest["gitCommit"] = material.commit
    annotations: dict[str, Any] = dict(material.annotations)
    if material.stages:
        annotations["stages"] = list(material.stages)
    value = {"name": material.name, "uri": material.ref, "digest": digest, "annotations": annotations}
    return {key: each for key, each in value.items() if each}
