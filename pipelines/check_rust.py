"""Format, clippy and tests of a project's Rust code, in the pipeline's own Rust root: the host needs no Rust."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import config, session, source  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from pipelines.progress import Progress  # noqa: E402

#: What a step of the tests is told of the host's environment.
_PASSED = ("PROPTEST_CASES",)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/check_rust.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
Reads the keys rust and rust-tests of [tool.pipelines]: the workspace that is shipped, and one that tests it. What has
not changed is remembered and not run again; its words are printed all the same.

examples:
  python pipelines/check_rust.py lint                       cargo fmt --check, clippy with warnings as errors
  python pipelines/check_rust.py test                       cargo test in the workspace of the tests
  PROPTEST_CASES=5000 python pipelines/check_rust.py test   more cases a property

exit codes: 0 passed, 1 not passed (what cargo said is above), 2 unknown option, 130 interrupted
""",
    )
    parser.add_argument("what", choices=("lint", "test"), nargs="+", help="what to check")
    parser.add_argument("--project", type=Path, default=HERE, help="folder with a pyproject.toml (default: this one)")
    parser.add_argument("--engine", choices=session.ENGINES, default="auto", help="who runs the steps (default: auto)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        project = config.read(options.project)
        if not project.rust:
            raise PipelineError(f"{options.project}: [tool.pipelines] names no workspace under rust: nothing to check")
        session.run(
            functools.partial(_run, project, tuple(dict.fromkeys(options.what)), session.choose(options.engine))
        )
    except PipelineError as error:
        print(f"check: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("check: interrupted", file=sys.stderr)
        return 130
    return 0


async def _run(project: config.Project, what: tuple[str, ...], engine: str) -> None:
    from pipelines import inputs, network
    from pipelines.stages.bases import root
    from pipelines.stages.rust_checker import linted, tested

    files = source.read(project.root, project.root / "dist").files
    workspaces = tuple(place for place in (project.rust, project.rust_tests) if place)
    below = tuple(f"{place.rstrip('/')}/" for place in workspaces)
    said = []
    with Progress(knows_cache=engine == "embedded") as progress, network.of_this_machine() as settings:
        async with session.session(engine, progress.on_event):
            tree = inputs.project_source(project.root, tuple(f for f in files if f.startswith(below)))
            with progress.stage("rust base"):
                base = await root(inputs.seed(), inputs.downloads("rust-builder"), "rust base")
            with progress.stage("rust checker"):
                if "lint" in what:
                    extra = inputs.downloads("rust-checker", without="rust-builder")
                    tools = await root(inputs.seed(), extra, "rust checker", alone=False)
                    said.append(await linted(base, tools, tree, workspaces, settings))
                if "test" in what and project.rust_tests:
                    given = {name: os.environ[name] for name in _PASSED if name in os.environ}
                    said.append(await tested(base, tree, project.rust_tests, settings, given))
    print("".join(said), end="")


if __name__ == "__main__":
    sys.exit(main())
