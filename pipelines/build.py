"""Build a project's container images: ``python pipelines/build.py``, or the same under ``dagger run``."""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import config, platforms, report, session, source  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from pipelines.progress import Progress  # noqa: E402


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/build.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
What is built is described under [tool.pipelines] in the project's pyproject.toml. The output folder gets one OCI
image layout a target and build.json; it is replaced whole when all went well, and left as it was otherwise.

examples:
  python pipelines/build.py                                 both images, into dist/
  python pipelines/build.py --target distroless --json      one image; build.json on standard output
  python pipelines/build.py --variant ml-cpu --target distroless   a variant of it, into dist-ml-cpu/
  python pipelines/build.py --project ../shop --output /tmp/images
  python pipelines/build.py --platform all                  an index an image, for amd64, arm64 and arm/v7
  dagger run python pipelines/build.py                      the same on a Dagger engine

exit codes: 0 built, 1 not built (the last line says why), 2 unknown option, 3 built, and the scan found what the
policy does not allow (no release takes such an image), 130 interrupted
""",
    )
    parser.add_argument(
        "--project", type=Path, default=HERE, help="folder with a pyproject.toml that has [tool.pipelines]"
    )
    parser.add_argument(
        "--target", default=",".join(config.TARGETS), help="images to build, by comma (default: %(default)s)"
    )
    parser.add_argument(
        "--variant",
        default="",
        help="build with what [tool.pipelines.variants.VARIANT] adds, into dist-VARIANT (default: without any)",
    )
    parser.add_argument(
        "--platform",
        default=platforms.NATIVE,
        help=f"platforms, by comma, or all: {', '.join(platforms.PLATFORMS)}; of several, each image is an index of them "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=session.ENGINES,
        default="auto",
        help="who runs the steps: a Dagger engine, the embedded one, or the first that is at hand: a session of "
        "`dagger run`, a Dagger, the embedded engine (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, help="folder for the images (default: dist in the project)")
    parser.add_argument(
        "--scan-database",
        metavar="FOLDER",
        help="Trivy's vulnerability database as a folder with trivy.db and metadata.json (also: PIPELINES_SCAN_DATABASE), "
        "`none` for no database; without it, TRIVY_DB_REPOSITORY or Trivy's own source is asked",
    )
    parser.add_argument("--no-scan", action="store_true", help="scan nothing; no release takes such an image by itself")
    parser.add_argument("--no-run", action="store_true", help="do not start the image that was built")
    parser.add_argument("--json", action="store_true", help="print build.json at the end, and nothing else there")
    return parser


def main(argv: list[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        summary = _build(options)
    except PipelineError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build: interrupted; the output folder is as it was", file=sys.stderr)
        return 130
    print(json.dumps(summary, indent=1, sort_keys=True) if options.json else report.table(summary))
    return _verdict(summary["scan"])


def _verdict(scan: dict[str, Any]) -> int:
    """Say what the scan gave, and the exit code for it."""
    if scan["verdict"] == "pass":
        return 0
    print(f"\nSCAN {scan['verdict'].upper()}: no release takes these images by itself", file=sys.stderr)
    for reason in scan["reasons"]:
        print(f"  {reason}", file=sys.stderr)
    print("  scan/verdict.json in the output folder has all of it", file=sys.stderr)
    return 3 if scan["verdict"] == "fail" else 0


def _build(options: argparse.Namespace) -> dict[str, Any]:
    project = config.read(options.project)
    targets, wanted = config.targets(options.target), platforms.parse(options.platform)
    project.exempt()
    variant = project.variant(options.variant)
    if variant and not all(each.native for each in wanted):
        raise PipelineError(f"variant {variant.name} is built for {platforms.NATIVE} alone; leave out --platform")
    output: Path = (options.output or project.root / (f"dist-{variant.name}" if variant else "dist")).absolute()
    tree = source.read(project.root, output)
    engine = session.choose(options.engine)
    with report.swapped(output) as staged, Progress(knows_cache=engine == "embedded") as progress:
        if tree.dirty:
            progress.note(f"there are changes that are not committed: the images say {tree.revision[:12]}-dirty")
        summary: dict[str, Any] = session.run(
            functools.partial(_run, project, tree, targets, wanted, variant, engine, staged, progress, options)
        )
        if not options.no_run and project.probe and "distroless" in targets:
            for platform in wanted:
                with progress.stage("run" if platform.native else f"run {platform.slug}"):
                    _start(project, staged / "distroless", platform, progress)
        summary["stages"] = [report.stage(record) for record in progress.records]
        report.write(staged, summary)
    return summary


async def _run(
    project: config.Project,
    tree: source.Source,
    targets: tuple[str, ...],
    wanted: tuple[platforms.Platform, ...],
    variant: config.Variant | None,
    engine: str,
    out: Path,
    progress: Progress,
    options: argparse.Namespace,
) -> dict[str, Any]:
    from pipelines import describe, network, pipeline, scans, verdict

    began = datetime.now(UTC)
    with network.of_this_machine() as settings:
        async with session.session(engine, progress.on_event) as version:
            scanned = scans.Scans(scans.origin(options.scan_database), settings, progress.note)
            given = pipeline.Inputs(
                project, tree, targets, wanted, settings, progress, None if options.no_scan else scanned, variant
            )
            images = await pipeline.build(given, out)
    ran = {"kind": "dagger" if engine in ("session", "dagger") else engine, "version": version}
    with progress.stage("describe"):
        names = describe.images(images, out, project, tree, wanted, ran, began, variant)
        judged = verdict.write(out, project, names, scanned.database, scanned.program, datetime.now(UTC))
    return {
        "project": project.name,
        "platform": ",".join(map(str, wanted)),
        "variant": variant.name if variant else "",
        "images": images,
        "engine": ran,
        "scan": {"verdict": judged["verdict"], "reasons": judged["reasons"]},
        "source": {"revision": tree.revision, "dirty": tree.dirty, "epoch": tree.epoch},
    }


def _start(project: config.Project, layout: Path, platform: platforms.Platform, progress: Progress) -> None:
    """Start the image on the sandbox and run the project's probe beside it."""
    words = [sys.executable, "-m", "engine", "start", str(layout), "--probe", str(project.root / project.probe)]
    words += ["--platform", str(platform)]
    for place in project.tmpfs:
        words += ["--tmpfs", place]
    with subprocess.Popen(
        words,
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as started:
        assert started.stdout is not None
        for line in started.stdout:
            progress.said(line.strip())
    if started.returncode:
        raise PipelineError(
            f"the image for {platform} was built, but did not pass its probe {project.probe} (exit code {started.returncode}); "
            "its last words are above; --no-run builds without it"
        )


if __name__ == "__main__":
    sys.exit(main())
