"""The six stages, put together: what each is made from, and what runs beside what."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import dagger

from pipelines import outputs, plan, variants
from pipelines.config import Project, Variant
from pipelines.inputs import downloads, project_source, seed
from pipelines.network import Network
from pipelines.progress import Progress
from pipelines.scans import Scans
from pipelines.source import Source
from pipelines.stages import variant as variant_stage
from pipelines.stages.application import application
from pipelines.stages.bases import Seed, root
from pipelines.stages.dependencies import ARCHIVES, archives, dependencies
from pipelines.stages.distroless import distroless
from pipelines.stages.runtime import layer, python_compiled
from pipelines.stages.rust_builder import installed, wheel
from pipelines.stages.standard import standard

T = TypeVar("T")
HERE = Path(__file__).resolve().parent.parent
ASSEMBLER = HERE / "images"
SCANNER = HERE, "requirements/scan.txt"
#: The names of layers in an image's history, by the tree that they hold.
LAYERS = {
    "runtime": "base",
    "tools": "tools",
    "dependencies": "dependencies",
    "core": "rust core",
    "application": "application",
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a build is made from."""

    project: Project
    source: Source
    targets: tuple[str, ...]
    platform: str
    network: Network
    progress: Progress
    scans: Scans | None = None
    variant: Variant | None = None
    first: Seed = field(default_factory=seed)

    def file(self, path: str) -> dagger.File:
        return project_source(self.project.root, (path,)).file(path)

    def files(self, *places: str) -> dagger.Directory:
        """The project's own files at and below these places; all without any."""
        below = tuple(place.rstrip("/") + "/" for place in places)
        chosen = tuple(f for f in self.source.files if not places or f in places or f.startswith(below))
        return project_source(self.project.root, chosen)

    async def stage(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        with self.progress.stage(name):
            return await work()


async def build(given: Inputs, out: Path) -> dict[str, Any]:
    """Build the images into a folder: an OCI layout a target, ``wheels`` and ``scan`` where the project has them.

    Returns what the assembler says of each image, by target.

    Raises:
        PipelineError: an input cannot be had.
        dagger.DaggerError: a stage failed.
    """
    made: dict[str, dagger.Directory] = {}
    further: dict[str, dagger.Directory] = {}
    wanted = variant_requirements(given.project, given.variant)

    async def rust() -> None:
        if given.project.rust:
            base = await given.stage("rust base", lambda: root(given.first, downloads("rust-builder"), "rust base"))
            made["wheels"] = await given.stage("rust builder", lambda: _wheels(given, base))

    async def python() -> None:
        made["builder"] = await given.stage(
            "python base", lambda: root(given.first, downloads("python-builder"), "python base")
        )
        async with anyio.create_task_group() as group:
            for work in (deps, app, checked, runtime, tools, variant):
                group.start_soon(work)

    async def deps() -> None:
        requirements = given.file(given.project.requirements)
        made["dependencies"] = await given.stage(
            "dependencies", lambda: dependencies(made["builder"], requirements, given.network)
        )

    async def app() -> None:
        source = given.files(*given.project.source)
        if any(path.startswith("src/") for path in given.project.source):
            source = source.without_directory("src").with_directory("/", source.directory("src"))
        made["application"] = await given.stage("application", lambda: application(made["builder"], source))

    async def checked() -> None:
        if given.scans:
            await given.stage("scan", lambda: _source_scanned(given, made["builder"]))

    async def runtime() -> None:
        made["runtime"] = await given.stage("runtime base", lambda: _runtime(given, made["builder"]))

    async def tools() -> None:
        if "standard" in given.targets:
            extra = downloads("standard", without="distroless")
            made["tools"] = await given.stage(
                "tools", lambda: root(given.first, extra, "tools", alone=False, prune=True)
            )

    async def variant() -> None:
        if given.variant is not None:
            further.update(await given.stage(variant_stage.STAGE, lambda: _variant(given, made["builder"], wanted)))

    async with anyio.create_task_group() as group:
        group.start_soon(rust)
        group.start_soon(python)
    if "wheels" in made:
        made["core"] = await installed(made["builder"], made["wheels"])
    layers = await given.stage("layers", lambda: _layers(given, made))
    above = [layers["dependencies"], *further.values(), *(layers[n] for n in ("core", "application") if n in layers)]
    images: dict[str, Any] = {}

    async def target(name: str) -> None:
        spec = plan.specification(given.project, given.source, name, given.platform, given.variant)
        if name == "distroless":
            work = distroless(made["builder"], ASSEMBLER, spec, layers["runtime"], above)
        else:
            work = standard(made["builder"], ASSEMBLER, spec, layers["runtime"], layers["tools"], above)
        result = await given.stage(name, lambda: work)
        await result.directory("layout").export(str(out / name))
        images[name] = json.loads(await result.file("report.json").contents())
        if scans := given.scans:
            await given.stage(f"scan {name}", lambda: scans.image(name, result.directory("layout")))

    async with anyio.create_task_group() as group:
        for name in given.targets:
            group.start_soon(target, name)
    taken = archives(made["builder"], given.file(given.project.requirements), given.network)
    await taken.export(str(outputs.path(out, outputs.ARCHIVES, "dependencies")))
    if wanted:
        listed = [each for name in wanted for each in json.loads(await further[name].file(ARCHIVES).contents())]
        outputs.path(out, outputs.ARCHIVES, variant_stage.STAGE).write_text(json.dumps(listed, indent=1))
    if "wheels" in made:
        await made["wheels"].filter(include=["*.whl"]).export(str(out / "wheels"))
        took = made["wheels"].file(ARCHIVES)
        await took.export(str(outputs.path(out, outputs.ARCHIVES, "rust builder")))
    if given.scans:
        await given.scans.export(out)
    return dict(sorted(images.items()))


def variant_requirements(project: Project, variant: Variant | None) -> Mapping[str, str]:
    """The requirements of each layer that a variant adds; none without one.

    Raises:
        PipelineError: a file cannot be read as hashed requirements, or contradicts the project's own.
    """
    if variant is None or not variant.requirements:
        return {}
    own, more = (
        variants.requirements((project.root / name).read_text(), name)
        for name in (project.requirements, variant.requirements)
    )
    return variants.layers(variants.added(own, more, variant.requirements), variant.apart)


async def _variant(given: Inputs, base: dagger.Directory, wanted: Mapping[str, str]) -> dict[str, dagger.Directory]:
    """The layers of a variant by name, lowest first: Debian packages, then distributions."""
    assert given.variant is not None
    found: dict[str, dagger.Directory] = {}
    installed: dict[str, dagger.Directory] = {}

    async def packages() -> None:
        assert given.variant is not None
        if place := given.variant.packages:
            name = Path(place).stem
            files = downloads(name, without="distroless", place=given.project.root / place)
            found[name] = await variant_stage.packages(base, ASSEMBLER, given.first, files, name)

    async def distributions() -> None:
        installed.update(await variant_stage.installed(base, ASSEMBLER, wanted, given.network))

    async with anyio.create_task_group() as group:
        group.start_soon(packages)
        group.start_soon(distributions)
    return found | installed


async def _layers(given: Inputs, made: dict[str, dagger.Directory]) -> dict[str, dagger.Directory]:
    """The trees of :data:`LAYERS` that were made, each packed once, beside each other."""
    packed: dict[str, dagger.Directory] = {}

    async def pack(key: str, name: str) -> None:
        more = {"directories": plan.directories(given.project)} if key == "runtime" else {}
        packed[key] = await layer(made["builder"], ASSEMBLER, name, made[key], "layers", **more).sync()

    async with anyio.create_task_group() as group:
        for key, name in LAYERS.items():
            if key in made:
                group.start_soon(pack, key, name)
    return packed


def scanner(project: Project) -> tuple[Path, str]:
    """Folder and file of the scanner's requirements: the pipelines' own, unless the project names another."""
    return (project.root, project.scan_requirements) if project.scan_requirements else SCANNER


async def _source_scanned(given: Inputs, base: dagger.Directory) -> None:
    assert given.scans is not None
    root, name = scanner(given.project)
    await given.scans.prepare(base, project_source(root, (name,)).file(name))
    await given.scans.source(given.files(), given.project, given.variant)


async def _wheels(given: Inputs, base: dagger.Directory) -> dagger.Directory:
    project = given.project
    workspace = given.files(project.rust).directory(project.rust)
    return await wheel(base, workspace, project.rust_crate, given.file(project.build_requirements), given.network)


async def _runtime(given: Inputs, builder: dagger.Directory) -> dagger.Directory:
    user, uid = given.project.user, given.project.uid
    unpacked = await root(given.first, downloads("distroless"), "runtime base", prune=True, user=user, uid=uid)
    return await python_compiled(builder, unpacked, "runtime base")
