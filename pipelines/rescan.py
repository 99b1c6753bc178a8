"""Scan images that were published, by digest, against the advisories of today, and judge them by the project's policy."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import config, outputs, places, report, session, verdict  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from pipelines.gate import CODES  # noqa: E402
from pipelines.progress import Progress  # noqa: E402
from registry import copy, place  # noqa: E402
from registry.errors import RegistryError  # noqa: E402
from registry.layout import Layout  # noqa: E402


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/rescan.py",
        description=__doc__,
        epilog="Example: python pipelines/rescan.py distroless=ghcr.io/team/app@sha256:… . It does not look at signatures: "
        "verify.py does. Exit codes: 0 pass, 1 fail, 3 incomplete, 2 an image could not be read or scanned.",
    )
    parser.add_argument("images", nargs="+", metavar="NAME=IMAGE", help="an image, and what reports call it")
    parser.add_argument(
        "--project", type=Path, default=HERE, help="whose policy and exceptions judge (default: this one)"
    )
    parser.add_argument("--output", type=Path, default=HERE / "rescan", help="reports and verdict (default: rescan)")
    parser.add_argument("--engine", choices=session.ENGINES, default="auto", help="as build.py has it")
    parser.add_argument("--scan-database", metavar="FOLDER", help="as build.py has it")
    places.add_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        found = _rescan(options)
    except (PipelineError, RegistryError) as error:
        print(f"rescan: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rescan: interrupted", file=sys.stderr)
        return 130
    print("\n  ".join([found["verdict"], *found["reasons"]]))
    return CODES[found["verdict"]]


def _rescan(options: argparse.Namespace) -> dict[str, Any]:
    project = config.read(options.project)
    project.exempt()
    images = dict(_named(text) for text in options.images)
    if len(images) < len(options.images):
        raise PipelineError("two images have one name")
    engine = session.choose(options.engine)
    with report.swapped(options.output) as out, Progress(knows_cache=engine == "embedded") as progress:
        for name, where in images.items():
            with (
                progress.stage(f"fetch {name}"),
                place.source(place.parse(where), places.settings(options)) as (source, tag),
            ):
                copy.send(copy.graph(source, source.resolve(tag)), source, target := Layout(out / name, create=True))
                target.tag(name, source.manifest(source.resolve(tag).digest))
        return session.run(functools.partial(_scan, project, tuple(images), engine, out, progress, options))


def _named(text: str) -> tuple[str, str]:
    name, equals, where = text.partition("=")
    if not equals or not name.isidentifier() or name == verdict.SOURCE or not where:
        raise PipelineError(f"{text!r}: expected NAME=IMAGE, as in distroless=ghcr.io/team/app@sha256:…")
    return name, where


async def _scan(
    project: config.Project,
    names: tuple[str, ...],
    engine: str,
    out: Path,
    progress: Progress,
    options: argparse.Namespace,
) -> dict[str, Any]:
    from dagger import dag

    from pipelines import inputs, network, pipeline, scans
    from pipelines.stages.bases import root

    with network.of_this_machine() as settings:
        async with session.session(engine, progress.on_event):
            given = scans.Scans(scans.origin(options.scan_database), settings, progress.note)
            with progress.stage("python base"):
                base = await root(inputs.seed(), inputs.downloads("python-builder"), "python base")
            with progress.stage("scan"):
                where, name = pipeline.scanner(project)
                await given.prepare(base, inputs.project_source(where, (name,)).file(name))
                for each in names:
                    await given.image(each, dag.host().directory(str(out / each)))
                await given.export(out)
    _, found = verdict.judged(out, project, names, given.database, given.program, datetime.now(UTC))
    outputs.path(out, outputs.VERDICT).write_text(
        json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
