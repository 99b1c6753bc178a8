"""``python -m engine``: run a Dagger program on the embedded engine, start an image, look after the store."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

from engine import cache
from engine.errors import EngineError
from engine.events import Event

ENVIRONMENT = """\
environment:
  XDG_CACHE_HOME             folder above the store (default: ~/.cache); it must not lie on an overlay file system
  PIPELINES_CACHE_SIZE       what a store may grow to (default: 20GB); least lately used results go first
  PIPELINES_CACHE_AGE        for how long a result that nobody asks for is kept (default: 30d)
  PIPELINES_STEP_SECONDS     how long a step may run (default: 6h; 0 is no limit)
  PIPELINES_STEP_MEMORY      how much memory the processes of a step may use (default: four fifths of the machine's)
  PIPELINES_STEP_PROCESSES   how many processes and threads a step may run (default: 4096, or 64 a processor)
  PIPELINES_NETWORK=none     no step has the network; set in a step's own environment, that step has none
  PIPELINES_SANDBOX_TOOLS    a folder with the sandbox's programs unpacked, for a site without a mirror
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m engine",
        description="The embedded engine.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a program on a Dagger SDK against this engine, as `dagger run` does")
    run.add_argument("--quiet", "-q", action="store_true", help="no progress")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    start = commands.add_parser("start", help="start an image from an OCI layout, read-only, as its own user")
    start.add_argument("layout")
    start.add_argument("--tmpfs", action="append", default=[], metavar="PATH", help="a writable folder in memory")
    start.add_argument("--probe", metavar="SCRIPT", help="run this with the image's python3 beside it, then stop")
    cache.arguments(commands)
    options = parser.parse_args(argv)
    try:
        if options.command == "run":
            return _run([w for n, w in enumerate(options.words) if not (n == 0 and w == "--")], options.quiet)
        if options.command == "start":
            from engine.start import run_image

            return run_image(options.layout, tuple(options.tmpfs), options.probe)
        return cache.main(options)
    except EngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(words: list[str], quiet: bool) -> int:
    if not words:
        raise EngineError("run needs a command: python -m engine run -- python pipelines/build.py")
    from engine import serve

    def show(event: Event) -> None:
        if not quiet and event.kind in ("started", "cached", "failed"):
            print(f"  {event.kind:8} {event.name}", file=sys.stderr)

    with serve(show) as session:
        try:
            child = subprocess.Popen(words, env={**os.environ, **session.environment})
        except OSError as error:
            print(f"engine: {words[0]}: {error.strerror}", file=sys.stderr)
            return 127
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda n, _: child.send_signal(n))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
