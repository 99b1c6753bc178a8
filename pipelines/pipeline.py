"""The six stages, put together: what each is made from. Each waits for its inputs and for nothing else."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio
import dagger
from dagger import dag

from pipelines import outputs, plan, requirements, variants
from pipelines.config import Project, Variant
from pipelines.errors import PipelineError
from pipelines.inputs import downloads, project_source, seed
from pipelines.network import Network
from pipelines.platforms import Platform
from pipelines.progress import Progress
from pipelines.scans import Scans
from pipelines.source import Source
from pipelines.stages import source_builder
from pipelines.stages import variant as variant_stage
from pipelines.stages.application import application
from pipelines.stages.bases import Seed, root
from pipelines.stages.dependencies import ARCHIVES, Wanted, archives, dependencies
from pipelines.stages.distroless import distroless
from pipelines.stages.runtime import index, layer, python_compiled
from pipelines.stages.rust_builder import Cross, installed, wheel
from pipelines.stages.standard import standard

T = TypeVar("T")
HERE = Path(__file__).resolve().parent.parent
ASSEMBLER = HERE / "images"
SCANNER = HERE, "requirements/scan.txt"


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a build is made from."""

    project: Project
    source: Source
    targets: tuple[str, ...]
    platforms: tuple[Platform, ...]
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

    def wanted(self, platform: Platform) -> Wanted:
        """The requirements of the service as a platform sees them."""
        text, (here, _) = self._required(), self._parted(platform)
        file = self.file(self.project.requirements) if here == text else _requirements(here)
        return Wanted(file, platform.wheels, stage("dependencies", platform))

    def compiled(self, platform: Platform) -> dagger.File | None:
        """Those of them that have no wheel for a platform and are compiled, if there are any."""
        _, these = self._parted(platform)
        return _requirements(these) if these else None

    def _parted(self, platform: Platform) -> tuple[str, str]:
        name = self.project.requirements
        here = requirements.of(self._required(), platform, name)
        return requirements.parted(here, self.project.compiled(str(platform)), name)

    def _required(self) -> str:
        name = self.project.requirements
        try:
            return (self.project.root / name).read_text()
        except OSError as error:
            raise PipelineError(f"{name}: {error.strerror}") from None


def _requirements(text: str) -> dagger.File:
    return dag.directory().with_new_file("requirements.txt", text).file("requirements.txt")


def stage(name: str, platform: Platform) -> str:
    """The name of a stage: that of another platform than the machine's own says so."""
    return name if platform.native else f"{name} {platform.slug}"


class _Later(Generic[T]):
    """A part that is made once, in a task of its own, and awaited by all that need it."""

    def __init__(self) -> None:
        self._there = anyio.Event()
        self._part: T

    def put(self, part: T) -> None:
        self._part = part
        self._there.set()

    async def get(self) -> T:
        await self._there.wait()
        return self._part


async def build(given: Inputs, out: Path) -> dict[str, Any]:
    """Build the images into a folder: an OCI layout a target, ``wheels`` and ``scan`` where the project has them.

    Returns what the assembler says of each image, by target; of several platforms the index's digest, and by platform
    what is said of each image in it.

    Raises:
        PipelineError: an input cannot be had.
        dagger.DaggerError: a stage failed.
    """
    async with anyio.create_task_group() as group:
        parts = _Shared(given, group)
        own = next((each for each in given.platforms if each.native), None)
        first = [_Images(given, own, parts, group)] if own else []
        made = first + [
            _Images(given, each, parts, group, first[0] if first else None)
            for each in given.platforms
            if not each.native
        ]
    images = {target: await _export(given, target, made, out) for target in sorted(given.targets)}
    for each in made:
        await each.left(out)
    if given.scans:
        await given.scans.export(out)
    return images


async def _export(given: Inputs, target: str, made: list[_Images], out: Path) -> dict[str, Any]:
    found = [await each.images[target].get() for each in made]
    reports = [json.loads(await each.file("report.json").contents()) for each in found]
    if len(found) == 1:
        await found[0].directory("layout").export(str(out / target))
        report: dict[str, Any] = reports[0]
        return report
    described = [json.loads(await each.file("layout/index.json").contents())["manifests"][0] for each in found]
    whole = index(found, described, f"{given.project.name}:{target}")
    await whole.export(str(out / target))
    top = json.loads(await whole.file("index.json").contents())["manifests"][0]
    by_platform = {str(each.platform): report for each, report in zip(made, reports, strict=True)}
    return {"digest": top["digest"], "platforms": by_platform}


class _Shared:
    """What all platforms' images are made with: the roots that builds run in, the application, and the scanner."""

    def __init__(self, given: Inputs, group: anyio.abc.TaskGroup) -> None:
        self.given = given
        self.python: _Later[dagger.Directory] = _Later()
        self.rust: _Later[dagger.Directory] = _Later()
        self.application: _Later[dagger.Directory] = _Later()
        self.variant: _Later[dict[str, dagger.Directory]] = _Later()
        self.scanner: _Later[None] = _Later()
        group.start_soon(_made, functools.partial(self._root, "python-builder", "python base"), self.python)
        group.start_soon(_made, self._application, self.application)
        group.start_soon(_made, self._variant, self.variant)
        if given.project.rust or any(given.compiled(each) for each in given.platforms):
            group.start_soon(_made, functools.partial(self._root, "rust-builder", "rust base"), self.rust)
        if given.scans:
            group.start_soon(_made, self._scanned, self.scanner)

    async def _root(self, lock: str, name: str) -> dagger.Directory:
        with self.given.progress.stage(name):
            return await root(self.given.first, downloads(lock), name)

    async def _application(self) -> dagger.Directory:
        base, given = await self.python.get(), self.given
        with given.progress.stage("application"):
            source = given.files(*given.project.source)
            if any(path.startswith("src/") for path in given.project.source):
                source = source.without_directory("src").with_directory("/", source.directory("src"))
            tree = await application(base, source)
            return await layer(base, ASSEMBLER, "application", tree, "application").sync()

    async def _variant(self) -> dict[str, dagger.Directory]:
        """The layers that the variant adds, by name; none without one."""
        if self.given.variant is None:
            return {}
        wanted = variant_requirements(self.given.project, self.given.variant)
        base = await self.python.get()
        with self.given.progress.stage(variant_stage.STAGE):
            return await _variant(self.given, base, wanted)

    async def _scanned(self) -> None:
        base, given = await self.python.get(), self.given
        assert given.scans is not None
        folder, name = scanner(given.project)
        with given.progress.stage("scan"):
            await given.scans.prepare(base, project_source(folder, (name,)).file(name))
            await given.scans.source(given.files(), given.project, given.variant)


def scanner(project: Project) -> tuple[Path, str]:
    """Folder and file of the scanner's requirements: the pipelines' own, unless the project names another."""
    return (project.root, project.scan_requirements) if project.scan_requirements else SCANNER


async def _made(work: Callable[[], Awaitable[T]], part: _Later[T]) -> None:
    part.put(await work())


class _Images:
    """The images of a platform, and what they are made from."""

    def __init__(
        self,
        given: Inputs,
        platform: Platform,
        shared: _Shared,
        group: anyio.abc.TaskGroup,
        like: _Images | None = None,
    ) -> None:
        """``like`` are those of the machine's own platform, whose byte code is taken where sources are the same."""
        self.given, self.platform, self.shared, self.like = given, platform, shared, like
        self.trees: dict[str, _Later[dagger.Directory]] = {"runtime": _Later(), "dependencies": _Later()}
        self.wanted, self.from_source = given.wanted(platform), given.compiled(platform)
        self.compiled: _Later[dagger.Directory | None] = _Later()
        self.runtime: _Later[dagger.Directory] = _Later()
        self.tools: _Later[dagger.Directory] = _Later()
        self.dependencies: _Later[dagger.Directory] = _Later()
        self.core: _Later[dagger.Directory] = _Later()
        self.wheels: _Later[dagger.Directory] = _Later()
        self.images: dict[str, _Later[dagger.Directory]] = {target: _Later() for target in given.targets}
        group.start_soon(_made, self._runtime, self.runtime)
        group.start_soon(_made, self._dependencies, self.dependencies)
        group.start_soon(_made, self._compiled, self.compiled)
        if "standard" in given.targets:
            group.start_soon(_made, self._tools, self.tools)
        if given.project.rust:
            group.start_soon(_made, self._wheels, self.wheels)
            group.start_soon(_made, self._core, self.core)
        for target, part in self.images.items():
            group.start_soon(_made, functools.partial(self._image, target), part)

    def stage(self, name: str) -> str:
        return stage(name, self.platform)

    async def _packed(self, name: str, tree: dagger.Directory, label: str, **more: Any) -> dagger.Directory:
        return await layer(await self.shared.python.get(), ASSEMBLER, name, tree, label, **more).sync()

    async def _runtime(self) -> dagger.Directory:
        base, given, name = await self.shared.python.get(), self.given, self.stage("runtime base")
        user, uid = given.project.user, given.project.uid
        with given.progress.stage(name):
            locked = downloads("distroless", architecture=self.platform.debian)
            unpacked = await root(given.first, locked, name, prune=True, user=user, uid=uid)
            known = await self.like.trees["runtime"].get() if self.like else None
            tree = await python_compiled(base, unpacked, name, known)
            self.trees["runtime"].put(tree)
            return await self._packed("base", tree, name, directories=plan.directories(given.project))

    async def _tools(self) -> dagger.Directory:
        name = self.stage("tools")
        await self.shared.python.get()
        with self.given.progress.stage(name):
            extra = downloads("standard", without="distroless", architecture=self.platform.debian)
            tree = await root(self.given.first, extra, name, alone=False, prune=True)
            return await self._packed("tools", tree, name)

    async def _dependencies(self) -> dagger.Directory:
        base, name = await self.shared.python.get(), self.stage("dependencies")
        with self.given.progress.stage(name):
            known = await self.like.trees["dependencies"].get() if self.like else None
            more = await self.compiled.get()
            if more:
                more = await installed(base, more, (f"linux_{self.platform.machine}",), name)
            tree = await dependencies(base, self.wanted, self.given.network, known, more)
            self.trees["dependencies"].put(tree)
            return await self._packed("dependencies", tree, name)

    async def _compiled(self) -> dagger.Directory | None:
        """Wheels of the requirements that have none for this platform."""
        if not self.from_source:
            return None
        base, name = await self.shared.rust.get(), self.stage("source builder")
        with self.given.progress.stage(name):
            cross = await self._cross(name, {"rust-target", "python-target"})
            return await source_builder.wheels(base, self.from_source, cross, self.platform.machine, self.given.network)

    async def _cross(self, stage: str, roots: Collection[str]) -> Cross:
        """What compiles for this platform: compilers that run here, and roots of what belongs to the target."""
        shared = await root(self.given.first, downloads("cross", without="rust-builder"), "rust builder", alone=False)
        trees = [
            await root(self.given.first, downloads(each, architecture=self.platform.debian), stage, alone=False)
            for each in sorted(roots)
        ]
        return Cross(self.platform.rust, self.platform.gnu, (shared, *trees), stage)

    async def _wheels(self) -> dagger.Directory:
        base, given, project = await self.shared.rust.get(), self.given, self.given.project
        workspace = given.files(project.rust).directory(project.rust)
        name = self.stage("rust builder")
        with given.progress.stage(name):
            return await wheel(
                base,
                workspace,
                project.rust_crate,
                given.file(project.build_requirements),
                given.network,
                None if self.platform.native else await self._cross(name, {"rust-target"}),
            )

    async def _core(self) -> dagger.Directory:
        wheels = await self.wheels.get()
        name = self.stage("rust builder")
        tree = await installed(await self.shared.python.get(), wheels, self.platform.wheels, name)
        return await self._packed("rust core", tree, name)

    async def _image(self, target: str) -> dagger.Directory:
        given, name = self.given, self.stage(target)
        base, runtime, above = await self.shared.python.get(), await self.runtime.get(), [await self.dependencies.get()]
        above += (await self.shared.variant.get()).values()
        if given.project.rust:
            above.append(await self.core.get())
        above.append(await self.shared.application.get())
        spec = plan.specification(given.project, given.source, target, self.platform, given.variant)
        tools = await self.tools.get() if target == "standard" else None
        with given.progress.stage(name):
            if tools:
                found = await standard(base, ASSEMBLER, spec, runtime, tools, above, name)
            else:
                found = await distroless(base, ASSEMBLER, spec, runtime, above, name)
        if given.scans:
            await self.shared.scanner.get()
            with given.progress.stage(f"scan {name}"):
                await given.scans.image(
                    outputs.image(target, self.platform, given.platforms), found.directory("layout")
                )
        return found

    async def left(self, out: Path) -> None:
        """Write what else a build leaves of a platform: wheels, and which archives were installed."""
        base, network = await self.shared.python.get(), self.given.network

        def place(name: str) -> str:
            return str(outputs.path(out, outputs.ARCHIVES, outputs.image(name, self.platform, self.given.platforms)))

        listed = json.loads(await archives(base, self.wanted, network, self.like is None).contents())
        if compiled := await self.compiled.get():
            listed += json.loads(await compiled.file(ARCHIVES).contents())
        Path(place("dependencies")).write_text(json.dumps(listed, indent=1))
        further, wanted = await self.shared.variant.get(), variant_requirements(self.given.project, self.given.variant)
        if wanted:
            listed = [each for name in wanted for each in json.loads(await further[name].file(ARCHIVES).contents())]
            Path(place(variant_stage.STAGE)).write_text(json.dumps(listed, indent=1))
        if self.given.project.rust:
            wheels = await self.wheels.get()
            await wheels.filter(include=["*.whl"]).export(str(out / "wheels"))
            await wheels.file(ARCHIVES).export(place("rust builder"))


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
