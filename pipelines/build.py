"""Build a project's container images: ``python pipelines/build.py``, or the same under ``dagger run``."""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import config, plan, report, session, source  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from pipelines.progress import Progress  # noqa: E402

if TYPE_CHECKING:
    import dagger

T = TypeVar("T")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/build.py",
        description=__doc__,
        epilog="Example: python pipelines/build.py --target distroless --output /tmp/images",
    )
    parser.add_argument(
        "--project", type=Path, default=HERE, help="folder with a pyproject.toml that has [tool.pipelines]"
    )
    parser.add_argument(
        "--target", default=",".join(config.TARGETS), help="images to build, by comma (default: %(default)s)"
    )
    parser.add_argument("--platform", default="linux/amd64", help="platform (default: %(default)s)")
    parser.add_argument(
        "--engine", choices=session.ENGINES, default="auto", help="who runs the steps (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, help="folder for the images (default: dist in the project)")
    parser.add_argument("--no-run", action="store_true", help="do not start the image that was built")
    parser.add_argument("--json", action="store_true", help="print build.json at the end")
    return parser


def main(argv: list[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        return _build(options)
    except PipelineError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build: interrupted; nothing was changed", file=sys.stderr)
        return 130


def _build(options: argparse.Namespace) -> int:
    import anyio

    project = config.read(options.project)
    targets, platforms = config.targets(options.target), config.platforms(options.platform)
    tree = source.read(project.root)
    engine = session.choose(options.engine)
    progress = Progress(knows_cache=engine == "embedded")
    if tree.dirty:
        progress.note(
            f"{project.root} has changes that are not committed: the images are marked {tree.revision[:12]}-dirty"
        )
    output: Path = options.output or project.root / "dist"
    with report.swapped(output) as staged:
        summary = _unwrapped(
            anyio.run, functools.partial(_run, project, tree, targets, platforms[0], engine, staged, progress)
        )
        report.write(staged, summary)
        if not options.no_run and project.probe and "distroless" in targets:
            with progress.stage("run"):
                _start(project, staged / "distroless")
    print(json.dumps(summary, indent=1, sort_keys=True) if options.json else report.table(summary))
    return 0


def _unwrapped(function: Callable[..., T], *arguments: Any) -> T:
    """What the function returns; the first error of a group of them by itself, and Dagger's in this package's family."""
    import dagger

    try:
        return function(*arguments)
    except BaseException as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, dagger.ExecError):
            words = " ".join(first.command)
            text = "\n".join((first.stdout + "\n" + first.stderr).strip().splitlines()[-40:])
            raise PipelineError(
                f"a step failed with exit code {first.exit_code}:\n{text}\n  in: {words[:200]}"
            ) from None
        if isinstance(first, dagger.DaggerError):
            raise PipelineError(str(first)) from None
        raise first from None


def _start(project: config.Project, layout: Path) -> None:
    words = [sys.executable, "-m", "engine", "start", str(layout), "--probe", str(project.root / project.probe)]
    for place in project.tmpfs:
        words += ["--tmpfs", place]
    done = subprocess.run(words, cwd=HERE, env={**os.environ, "PYTHONPATH": str(HERE)}, check=False)
    if done.returncode:
        raise PipelineError(
            f"the image was built, but did not pass its probe {project.probe} (exit code {done.returncode})"
        )


async def _run(
    project: config.Project,
    tree: source.Source,
    targets: tuple[str, ...],
    platform: str,
    engine: str,
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    from pipelines import network

    with network.of_this_machine() as settings:
        async with session.session(engine, progress.on_event) as version:
            built = await _stages(project, tree, targets, platform, out, progress, settings)
    return {
        "project": project.name,
        "platform": platform,
        "images": built,
        "engine": {"kind": "dagger" if engine in ("session", "dagger") else engine, "version": version},
        "source": {"revision": tree.revision, "dirty": tree.dirty, "epoch": tree.epoch},
        "stages": [{"name": r.name, "seconds": r.seconds, "cached": r.cached} for r in progress.records],
    }


async def _stages(
    project: config.Project,
    tree: source.Source,
    targets: tuple[str, ...],
    platform: str,
    out: Path,
    progress: Progress,
    settings: Any,
) -> dict[str, Any]:
    import anyio

    from pipelines.inputs import downloads, project_source, seed
    from pipelines.stages.application import application
    from pipelines.stages.bases import root
    from pipelines.stages.dependencies import dependencies
    from pipelines.stages.distroless import distroless
    from pipelines.stages.runtime import python_compiled
    from pipelines.stages.rust_builder import installed, wheel
    from pipelines.stages.scan import scan
    from pipelines.stages.standard import standard

    first = seed()
    made: dict[str, Any] = {}

    async def stage(name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        with progress.stage(name):
            return await work()

    def file(path: str) -> dagger.File:
        return project_source(project.root, (path,)).file(path)

    async def rust() -> None:
        if not project.rust:
            return
        base = await stage("rust base", lambda: root(first, downloads("rust-builder"), "rust base"))
        files = tuple(f for f in tree.files if f.startswith(project.rust + "/"))
        workspace = project_source(project.root, files).directory(project.rust)
        requirements = file(project.build_requirements)

        async def build() -> None:
            made["wheels"] = await wheel(base, workspace, project.rust_crate, requirements, settings)

        await stage("rust builder", build)

    async def python() -> None:
        made["builder"] = base = await stage(
            "python base", lambda: root(first, downloads("python-builder"), "python base")
        )

        async def deps() -> None:
            made["dependencies"] = await stage(
                "dependencies", lambda: dependencies(base, file(project.requirements), settings)
            )

        async def app() -> None:
            files = tuple(f for f in tree.files if f.split("/")[0] in project.source or f in project.source)
            made["application"] = await stage(
                "application", lambda: application(base, project_source(project.root, files))
            )

        async def checked() -> None:
            if project.scan_requirements:
                everything = project_source(project.root, tree.files)
                made["scan"] = await stage(
                    "scan", lambda: scan(base, everything, file(project.scan_requirements), settings)
                )

        async def runtime() -> None:
            async def both() -> dagger.Directory:
                unpacked = await root(
                    first, downloads("distroless"), "runtime base", prune=True, user=project.user, uid=project.uid
                )
                return await python_compiled(base, unpacked, "runtime base")

            made["runtime"] = await stage("runtime base", both)

        async def tools() -> None:
            if "standard" in targets:
                made["tools"] = await stage(
                    "tools",
                    lambda: root(first, downloads("standard", without="distroless"), "tools", alone=False, prune=True),
                )

        async with anyio.create_task_group() as group:
            for work in (deps, app, checked, runtime, tools):
                group.start_soon(work)

    async with anyio.create_task_group() as group:
        group.start_soon(rust)
        group.start_soon(python)
    layers = [("dependencies", made["dependencies"])]
    if "wheels" in made:
        layers.append(("rust core", await installed(made["builder"], made["wheels"])))
    layers.append(("application", made["application"]))
    images: dict[str, Any] = {}

    async def target(name: str) -> None:
        spec = plan.specification(project, tree, name, platform)
        assembler = HERE / "images"
        if name == "distroless":
            result = await stage(name, lambda: distroless(made["builder"], assembler, spec, made["runtime"], layers))
        else:
            result = await stage(
                name, lambda: standard(made["builder"], assembler, spec, made["runtime"], made["tools"], layers)
            )
        await result.directory("layout").export(str(out / name))
        images[name] = json.loads(await result.file("report.json").contents())

    async with anyio.create_task_group() as group:
        for name in targets:
            group.start_soon(target, name)
    if "wheels" in made:
        await made["wheels"].export(str(out / "wheels"))
    if "scan" in made:
        await made["scan"].export(str(out / "scan"))
    return dict(sorted(images.items()))


if __name__ == "__main__":
    sys.exit(main())
