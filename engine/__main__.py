"""``python -m engine``: run a Dagger program on the embedded engine, start an image, look after the store."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time

from engine.errors import EngineError
from engine.events import Event


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m engine", description="The embedded engine.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a program on a Dagger SDK against this engine, as `dagger run` does")
    run.add_argument("--quiet", "-q", action="store_true", help="no progress")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    start = commands.add_parser("start", help="start an image from an OCI layout, read-only, as its own user")
    start.add_argument("layout")
    start.add_argument("--tmpfs", action="append", default=[], metavar="PATH", help="a writable folder in memory")
    start.add_argument("--probe", metavar="SCRIPT", help="run this with the image's python3 beside it, then stop")
    cache = commands.add_parser("cache", help="what the store holds, and clearing it")
    actions = cache.add_subparsers(dest="action", required=True)
    actions.add_parser("inspect", help="steps remembered, by stage, and the store's size")
    clear = actions.add_parser("clear", help="forget remembered steps")
    clear.add_argument("--older-than", type=float, default=0.0, metavar="DAYS", help="only those not used for so long")
    clear.add_argument("--stage", help="only those of one stage")
    options = parser.parse_args(argv)
    try:
        if options.command == "run":
            return _run([w for n, w in enumerate(options.words) if not (n == 0 and w == "--")], options.quiet)
        if options.command == "start":
            from engine.start import run_image

            return run_image(options.layout, tuple(options.tmpfs), options.probe)
        return _cache(options)
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


def _cache(options: argparse.Namespace) -> int:
    from engine.store import Store

    store = Store()
    try:
        if options.action == "clear":
            print(f"{store.clear(options.older_than * 86400, options.stage)} results forgotten")
            return 0
        rows: dict[str, list[float]] = {}
        for _, _, stage, _, used in store.results():
            rows.setdefault(stage or "(no stage)", []).append(used)
        for stage, used_at in sorted(rows.items()):
            print(
                f"{stage:24} {len(used_at):6} steps   last used {time.strftime('%F %T', time.localtime(max(used_at)))}"
            )
        blobs = [p.stat().st_size for p in (store.root / "blobs").glob("*/*")]
        print(f"{len(blobs)} files, {sum(blobs) / 1e6:.1f} MB in {store.root}")
        return 0
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
