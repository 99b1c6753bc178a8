"""Fuzzes a project's Rust code with libFuzzer, in the pipeline's own Rust root: the host needs no Rust and no clang."""

from __future__ import annotations

import argparse
import functools
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import config, session, source  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from pipelines.progress import Progress  # noqa: E402


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/fuzz_rust.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
The target is the binary "fuzz" of the workspace that [tool.pipelines] names under rust-tests; it begins with the inputs in
that workspace's folder corpus. In the output: corpus, inputs that reached something new; failed, inputs that broke something;
log, what libFuzzer said.

examples:
  python pipelines/fuzz_rust.py --seconds 600
  python pipelines/fuzz_rust.py --seed 7 --seconds 60        the same random choices as another run with this seed

exit codes: 0 nothing found, 1 something failed (its input is in the output) or the target could not be built,
2 unknown option, 130 interrupted
""",
    )
    parser.add_argument("--seconds", type=_positive, default=60, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=_positive, help="of libFuzzer's choices (default: another one each time)")
    parser.add_argument("--project", type=Path, default=HERE, help="folder with a pyproject.toml (default: this one)")
    parser.add_argument("--output", type=Path, help="what was found; is replaced (default: dist/fuzz of the project)")
    parser.add_argument("--engine", choices=session.ENGINES, default="auto", help="who runs the steps (default: auto)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number < 2**31:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {2**31 - 1}")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    seed = options.seed or secrets.randbelow(2**31 - 1) + 1
    try:
        project = config.read(options.project)
        if not project.rust_tests:
            raise PipelineError(
                f"{options.project}: [tool.pipelines] names no workspace under rust-tests: nothing to fuzz"
            )
        output = options.output or project.root / "dist" / "fuzz"
        engine = session.choose(options.engine)
        session.run(functools.partial(_run, project, output, options.seconds, seed, engine))
        return _told(output)
    except PipelineError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fuzz: interrupted", file=sys.stderr)
        return 130


async def _run(project: config.Project, output: Path, seconds: int, seed: int, engine: str) -> None:
    from pipelines import inputs, network
    from pipelines.stages.bases import root
    from pipelines.stages.rust_fuzzer import fuzzed

    files = source.read(project.root, project.root / "dist").files
    below = tuple(f"{place.rstrip('/')}/" for place in (project.rust, project.rust_tests) if place)
    with Progress(knows_cache=engine == "embedded") as progress, network.of_this_machine() as settings:
        async with session.session(engine, progress.on_event):
            tree = inputs.project_source(project.root, tuple(f for f in files if f.startswith(below)))
            with progress.stage("rust base"):
                base = await root(inputs.seed(), inputs.downloads("rust-builder"), "rust base")
            with progress.stage("rust fuzzer"):
                extra = inputs.downloads("rust-fuzzer", without="rust-builder")
                library = await root(inputs.seed(), extra, "rust fuzzer", alone=False)
                found = await fuzzed(base, library, tree, project.rust_tests, settings, seconds, seed)
                shutil.rmtree(output, ignore_errors=True)
                await found.export(str(output))


def _told(output: Path) -> int:
    """What libFuzzer said at its end; 1 if something failed."""
    from pipelines.stages.rust_fuzzer import CORPUS, FAILED, LOG, STATUS

    print((output / LOG).read_text(errors="replace")[-4000:], end="")
    failed = sorted((output / FAILED).iterdir())
    for path in failed:
        print(f"fuzz: failed: {path}", file=sys.stderr)
    print(f"{sum(1 for _ in (output / CORPUS).iterdir())} inputs reached something new: {output / CORPUS}")
    return 1 if failed or (output / STATUS).read_text().strip() != "0" else 0


if __name__ == "__main__":
    sys.exit(main())
