"""Run a command of a project in an image that was built, its files mounted read-only, and take what it wrote."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import config, session, source  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from pipelines.progress import Progress  # noqa: E402

_PROJECT, _OUT = "/project", "/out"
_READER = ["__init__.py", "compare.py", "digest.py", "errors.py", "unpack.py"]
_UNPACK = (
    "PYTHONPATH=/opt python3 -c 'from pathlib import Path; from images.unpack import unpack; "
    'unpack(Path("/layout"), Path("/root-of-image"))\''
)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/in_image.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"""\
The command runs in {_PROJECT}, without network, and writes to {_OUT}; what is there at its end goes to --output. What it says is
printed. The same image, files and command are remembered and not run again.

example:
  python pipelines/in_image.py --image dist-ml-cpu/distroless --output models -- python3 -m training --out {_OUT}

exit codes: 0 done, 1 not done (the last line says why), 2 unknown option, 130 interrupted
""",
    )
    parser.add_argument("--project", type=Path, default=HERE, help="folder with a pyproject.toml (default: this one)")
    parser.add_argument("--image", type=Path, required=True, help="an image layout that `build` made")
    parser.add_argument("--output", type=Path, required=True, help="folder for what the command wrote")
    parser.add_argument("--engine", choices=session.ENGINES, default="auto", help="who runs it (default: auto)")
    parser.add_argument("command", nargs="+", help="the command, after --")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        if not (options.image / "index.json").is_file():
            raise PipelineError(f"{options.image} is no image layout; build one: python pipelines/build.py --help")
        project = config.read(options.project)
        print(session.run(functools.partial(_run, project, options, session.choose(options.engine))), end="")
    except PipelineError as error:
        print(f"in_image: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("in_image: interrupted", file=sys.stderr)
        return 130
    return 0


async def _run(project: config.Project, options: argparse.Namespace, engine: str) -> str:
    from dagger import dag

    from pipelines import inputs
    from pipelines.stages.bases import STAGE, builder, root, script

    files = source.read(project.root, options.output.absolute()).files
    with Progress(knows_cache=engine == "embedded") as progress:
        async with session.session(engine, progress.on_event):
            with progress.stage("python base"):
                base = await root(inputs.seed(), inputs.downloads("python-builder"), "python base")
            with progress.stage("in image"):
                layout = dag.host().directory(str(options.image.absolute()))
                reader = dag.host().directory(str(HERE / "images"), include=_READER)
                unpacked = (
                    builder(base, "in image")
                    .with_mounted_directory("/layout", layout)
                    .with_mounted_directory("/opt/images", reader)
                    .with_exec(script(_UNPACK))
                )
                done = (
                    dag.container()
                    .with_rootfs(unpacked.directory("/root-of-image"))
                    .with_env_variable(STAGE, "in image")
                    .with_env_variable("PATH", "/usr/local/bin:/usr/bin:/bin")
                    .with_env_variable("PYTHONHASHSEED", "0")
                    # The embedded engine takes the network away.
                    .with_env_variable("PIPELINES_NETWORK", "none")
                    .with_mounted_directory(_PROJECT, inputs.project_source(project.root, files))
                    .with_workdir(_PROJECT)
                    .with_directory(_OUT, dag.directory())
                    .with_exec(list(options.command))
                )
                said = await done.stdout()
                await done.directory(_OUT).export(str(options.output.absolute()))
    return said


if __name__ == "__main__":
    sys.exit(main())
