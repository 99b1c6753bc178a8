"""``python -m engine``: run a Dagger program on the embedded engine, start an image, look after the store."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress

from engine import cache
from engine.errors import EngineError

ENVIRONMENT = """\
environment:
  XDG_CACHE_HOME             folder above the store (default: ~/.cache); it must not lie on an overlay file system
  PIPELINES_STEP_SECONDS     how long a step may run (default: 6h; 0 is no limit)
  PIPELINES_STEP_MEMORY      how much memory the processes of a step may use (default: four fifths of the machine's)
  PIPELINES_STEP_PROCESSES   how many processes and threads a step may run (default: 4096, or 64 a processor)
  PIPELINES_CACHE_AGE        how long a result is kept that nobody asks for (default: 30d)
  PIPELINES_CACHE_SIZE       what the store may grow to; looked after once an hour, as a session ends (default: 20GB)
  PIPELINES_NETWORK=none     no step has the network; set in a step's own environment, that step has none
  PIPELINES_HOST_PORTS       ports of this machine's loopback that steps reach on theirs; those of proxies and package
                             indexes that the environment names (HTTPS_PROXY, PIP_INDEX_URL, …) are reached anyway
  PIPELINES_SANDBOX_TOOLS    a folder with the sandbox's programs unpacked, for a site without a mirror
"""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine",
        description="The embedded engine.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a program on a Dagger SDK against this engine, as `dagger run` does")
    run.add_argument(
        *("--quiet", "-q"), dest="show", action="store_const", const="nothing", default="steps", help="no progress"
    )
    run.add_argument(
        *("--verbose", "-v"), dest="show", action="store_const", const="output", help="what steps print, too"
    )
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    shape = commands.add_parser("surface", help="what is served of Dagger's API and what is refused, field by field")
    shape.add_argument("--json", action="store_true", help="the same for a program")
    shape.add_argument("--all", action="store_true", help="types of which nothing is served, too")
    start = commands.add_parser("start", help="start an image from an OCI layout, read-only, as its own user")
    start.add_argument("layout")
    start.add_argument("--tmpfs", action="append", default=[], metavar="PATH", help="a writable folder in memory")
    start.add_argument("--probe", metavar="SCRIPT", help="run this with the image's python3 beside it, then stop")
    start.add_argument(
        "--platform",
        default="",
        metavar="OS/ARCH",
        help="which image of an index; one for another processor runs under qemu-user, which is brought along",
    )
    cache.arguments(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        if options.command == "run":
            from engine.run import run as run_program

            return run_program(options.words[options.words[:1] == ["--"] :], options.show)
        if options.command == "surface":
            from engine.api.coverage import show

            return show(options.json, options.all)
        if options.command == "start":
            from engine.start import run_image

            return run_image(options.layout, tuple(options.tmpfs), options.probe, options.platform)
        return cache.main(options)
    except EngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    code = main()
    with suppress(OSError):
        sys.stdout.flush()
    # All is closed; to take the interpreter apart would only cost its time.
    os._exit(code)
