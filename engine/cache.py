"""``python -m engine cache``: what the store holds, and clearing it while others use it.

Its parser is made for every command, and ``run`` has a program that waits: what only the work needs is imported there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.amounts import seconds_of, size_of
from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.store import Store


def arguments(commands: Any) -> None:
    """Add the command to a parser's subcommands."""
    cache = commands.add_parser("cache", help="what the store holds, and clearing it")
    actions = cache.add_subparsers(dest="action", required=True)
    inspect = actions.add_parser(
        "inspect",
        help="what is held: by stage, size and last use",
        description="What the store holds. SIZE is all that a stage's results name; ALONE is what no other stage names, "
        "which clearing the stage would free.",
    )
    inspect.add_argument("--json", action="store_true", help="the same as JSON; sizes in bytes, times since 1970")
    clear = actions.add_parser(
        "clear",
        help="forget results, and remove what nothing names any more",
        description="Forget results and remove the files that nothing names any more. Runs that use the store keep "
        "what they hold. Without an option everything is forgotten.",
    )
    clear.add_argument(
        "--older-than",
        type=_parsed(seconds_of),
        metavar="AGE",
        help="only what was not used for so long: 12h, 7d",
    )
    clear.add_argument(
        "--keep-size",
        type=_parsed(size_of),
        metavar="SIZE",
        help="the least lately used beyond this: 500MB, 5GB",
    )
    clear.add_argument("--stage", help="only results of this stage")
    clear.add_argument("--dry-run", action="store_true", help="say what would go, and leave it")
    clear.add_argument("--json", action="store_true", help="what went, as JSON")
    export = actions.add_parser(
        "export",
        help="write results and what they name to a folder, as an OCI artifact",
        description="Write results and what they name to a new OCI layout folder, so that another machine starts warm. "
        "pipelines/copy_image.py takes it on to a registry or a tar. Volumes stay here, and what stands for secrets in keys.",
    )
    export.add_argument("folder")
    export.add_argument(
        "--used-within", type=_parsed(seconds_of), default=0.0, metavar="AGE", help="only what was used since: 2h, 7d"
    )
    export.add_argument("--json", action="store_true", help="digest, counts and bytes, as JSON")
    taken = actions.add_parser(
        "import",
        help="take in what export wrote",
        description="Take in what export wrote. Every byte is checked against its digest; which step gave it is believed: "
        "import only from whom you would run a step of, and say --digest where it came by way of others.",
    )
    taken.add_argument("folder")
    taken.add_argument(
        "--digest", default="", metavar="sha256:…", help="the digest that export told; anything else is refused"
    )
    taken.add_argument("--json", action="store_true", help="digest, counts and bytes, as JSON")
    verify = actions.add_parser("verify", help="read every file of the store and drop those that the disk damaged")
    verify.add_argument("--json", action="store_true", help="names of damaged files, as JSON")


def _parsed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        try:
            return parse(text)
        except EngineError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _json(value: Any, **more: Any) -> str:
    import json
    from dataclasses import asdict, is_dataclass

    return json.dumps({**asdict(value), **more} if is_dataclass(value) and not isinstance(value, type) else value)


def _size(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 10**9 else f"{number / 1e6:.2f} MB"


def _when(used: float) -> str:
    return time.strftime("%F %T", time.localtime(used)) if used else "-"


def main(options: argparse.Namespace) -> int:
    """The exit code: 1 only where ``verify`` found damage.

    Raises:
        EngineError: the store cannot be used.
    """
    from engine import upkeep
    from engine.store import Store

    store = Store()
    try:
        if options.action == "inspect":
            return _inspect(store, options.json)
        if options.action == "verify":
            damaged = upkeep.verify(store)
            print(_json(damaged) if options.json else "\n".join([*damaged, f"{len(damaged)} damaged files dropped"]))
            return 1 if damaged else 0
        if options.action in ("export", "import"):
            return _ship(store, options)
        return _clear(store, options)
    except OSError as error:
        raise store.explained(error) from None
    finally:
        store.close()


def _inspect(store: Store, as_json: bool) -> int:
    from engine import upkeep

    report = upkeep.inspect(store)
    if as_json:
        print(_json(report))
        return 0
    print(f"{'STAGE':28} {'STEPS':>6} {'SIZE':>11} {'ALONE':>11}  LAST USED")
    for name, stage in report.stages.items():
        size, alone = _size(stage.size), _size(stage.alone)
        print(f"{name:28} {stage.steps:6} {size:>11} {alone:>11}  {_when(stage.used)}")
    for volume in report.volumes:
        print(f"{'volume ' + volume['key']:35} {_size(volume['size']):>11} {'':11}  {_when(volume['used'])}")
    print(
        f"{report.blobs['count']} files of {_size(report.blobs['size'])}, {_size(report.unnamed)} of which no result "
        f"names; {report.layers} layers; in {report.root}"
    )
    return 0


def _ship(store: Store, options: argparse.Namespace) -> int:
    from pathlib import Path

    from engine import artifact

    folder = Path(options.folder)
    if options.action == "export":
        done = artifact.export(store, folder, options.used_within)
    else:
        done = artifact.take_in(store, folder, options.digest)
    if options.json:
        print(_json(done))
    else:
        print(f"{done.digest}  {done.results} results, {done.files} files, {_size(done.size)} packed")
    return 0


def _clear(store: Store, options: argparse.Namespace) -> int:
    from engine import upkeep

    done = upkeep.clear(store, options.older_than or 0.0, options.stage, options.keep_size, options.dry_run)
    if options.json:
        print(_json(done, dry_run=options.dry_run))
        return 0
    would = "would be " if options.dry_run else ""
    print(
        f"{done.results} results {would}forgotten; {done.blobs} files ({_size(done.size)}), {done.layers} layers and "
        f"{done.volumes} volumes {would}removed"
    )
    return 0
