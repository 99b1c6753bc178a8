"""What a build takes in, out of the locks that it was built from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from packageurl import PackageURL

from images.debian import lock
from images.debian.roots import lock_name
from images.errors import ImageError
from pipelines.config import Project, Variant
from pipelines.errors import PipelineError
from pipelines.platforms import Platform
from pipelines.source import Source
from sbom import materials
from sbom.component import Locks
from sbom.errors import SbomError
from sbom.materials import Material

BASES = Path(__file__).resolve().parent.parent / "bases"


def _roots(project: Project, platform: Platform) -> Iterator[tuple[str, str]]:
    """The locks that a build for a platform reads, and the stage that each goes to; the tools only where an image has them."""
    yield "sandbox", "seed"
    yield "python-builder", "python base"
    compiled = project.compiled(str(platform))
    if project.rust or compiled:
        yield "rust-builder", "rust base"
        if not platform.native:
            yield "cross", "rust builder"
            yield lock_name("rust-target", platform.debian), "rust builder"
    if compiled:
        yield lock_name("python-target", platform.debian), "source builder"
    yield lock_name("distroless", platform.debian), "runtime base"
    yield lock_name("standard", platform.debian), "tools"


@dataclass(frozen=True, slots=True)
class Taken:
    """The materials of a build by target, and what locks know of an image's components."""

    locks: Locks
    materials: tuple[Material, ...]

    def of(self, target: str) -> tuple[Material, ...]:
        """Those of one image: an image without tools was not built from them."""
        if target == "standard":
            return self.materials
        kept = (replace(m, stages=tuple(s for s in m.stages if s != "tools")) for m in self.materials)
        return tuple(material for material in kept if material.stages)


def take(
    project: Project, source: Source, archives: dict[str, str], platform: Platform, variant: Variant | None = None
) -> Taken:
    """All that went into a platform's images; ``archives`` are the ``archives.json`` of stages, by stage.

    Raises:
        PipelineError: a lock cannot be read.
    """
    try:
        debs: dict[tuple[str, str, str], str] = {}
        found = [_revision(project, source)]
        places = [(BASES / f"{name}.lock", stage) for name, stage in _roots(project, platform)]
        if variant and variant.packages:
            places.append((project.root / variant.packages, "variant"))
        for place, stage in places:
            locked = lock.read(place)
            debs |= {(p.name, p.version, p.architecture): p.sha256 for p in locked.packages}
            found += _debian(locked, stage)
        wheels: dict[tuple[str, str], str] = {}
        for stage, text in archives.items():
            listed = list(materials.archives(text, stage))
            found += listed
            if stage in ("dependencies", "variant"):
                wheels |= {(m.name, m.version): m.sha256 for m in listed}
        crates: dict[tuple[str, str], str] = {}
        if project.rust:
            text = (project.root / project.rust / "Cargo.lock").read_text()
            crates = dict(materials.crate_hashes(text))
            found += materials.crates(text, "rust builder")
        return Taken(Locks(debs, wheels, crates), tuple(_united(found)))
    except (ImageError, SbomError) as error:
        raise PipelineError(str(error)) from None
    except OSError as error:
        raise PipelineError(f"{error.filename}: {error.strerror}") from None


def _united(found: Iterable[Material]) -> Iterator[Material]:
    by_ref: dict[str, Material] = {}
    for material in found:
        known = by_ref.get(material.ref)
        stages = {*material.stages, *(known.stages if known else ())}
        by_ref[material.ref] = replace(material, stages=tuple(sorted(stages)))
    yield from (by_ref[ref] for ref in sorted(by_ref))


def _revision(project: Project, source: Source) -> Material:
    """The source; with changes that no commit holds, it has no digest that anyone could look up."""
    uri = f"git+{project.url}" if project.url else f"urn:pipelines:source:{project.name}"
    ref = f"{uri}@{source.revision}" + ("-dirty" if source.dirty else "")
    notes = (("dirty", "true"), ("parent", source.revision)) if source.dirty else ()
    commit = "" if source.dirty else source.revision
    return Material(ref, "data", project.name, source.revision, "", "", commit, ("source",), notes)


def _debian(locked: lock.Lock, stage: str) -> Iterator[Material]:
    for index in locked.indexes:
        for kind, sha256 in (("InRelease", index.release), (f"Packages.xz {index.architecture}", index.index)):
            name = f"{index.archive} {index.suite} {kind}"
            ref = "urn:pipelines:archive:" + f"{index.archive}:{index.suite}:{index.timestamp}:{kind}".replace(" ", ":")
            # `verify` takes the age of an image's base from archiveTimestamp.
            signed = (("archiveTimestamp", index.timestamp), ("signed", "OpenPGP"))
            notes = signed if kind == "InRelease" else (("release", f"sha256:{index.release}"),)
            yield Material(ref, "data", name, index.timestamp, "", sha256, "", (stage,), notes)
    for package in locked.packages:
        if stage == "seed" and package.name != "busybox-static":
            continue
        epoch, _, version = package.version.rpartition(":")
        qualifiers = {"arch": package.architecture} | ({"epoch": epoch} if epoch else {})
        purl = PackageURL("deb", "debian", package.name, version, qualifiers).to_string()
        notes = (("archive", package.archive), ("path", package.path))
        yield Material(purl, "library", package.name, package.version, purl, package.sha256, "", (stage,), notes)
