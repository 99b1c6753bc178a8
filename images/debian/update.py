"""``python -m images.debian.update``: write the locks of all roots from what the archive has signed today."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from images.debian import lock as locks
from images.debian import release, roots
from images.debian.mirror import mirrors
from images.debian.package import Candidate, Index
from images.debian.resolve import Universe, resolve
from images.errors import ImageError


def changes(old: locks.Lock | None, new: locks.Lock) -> Iterator[str]:
    """Lines that say what a renewed lock adds, removes and changes."""
    before = {(each.name, each.architecture): each for each in old.packages} if old else {}
    after = {(each.name, each.architecture): each for each in new.packages}
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was is None and now is not None:
            yield f"{new.root}: + {now.name} {now.version}"
        elif now is None and was is not None:
            yield f"{new.root}: - {was.name} {was.version}"
        elif was is not None and now is not None and was != now:
            same = " (same version, another file)" if was.version == now.version else ""
            yield f"{new.root}: ~ {now.name} {was.version} -> {now.version}{same}"


def refuse_rollback(old: locks.Lock | None, new: Sequence[Index]) -> None:
    """Refuse an index older than the locked one: a mirror that replays an old signed index hides fixes."""
    for was in old.indexes if old else ():
        for now in new:
            same = (was.archive, was.suite, was.architecture) == (now.archive, now.suite, now.architecture)
            if same and now.timestamp < was.timestamp:
                raise ImageError(
                    f"{now.archive} {now.suite}: the mirror's release {now.timestamp} is older than the locked "
                    f"{was.timestamp}; use a mirror that is up to date"
                )


def update(
    bases: Path, architectures: Sequence[str], only: Sequence[str], now: datetime.datetime, expired: bool = False
) -> Iterator[str]:
    """Renew the locks below `bases` and yield lines of what changed; none is written unless all could be resolved.

    `architectures` and `only` (names of roots) choose among the locks; without any, all are renewed.
    """
    wanted = roots.read(bases / "roots.toml")
    for name in only:
        if name not in wanted:
            raise ImageError(f"{bases / 'roots.toml'}: no root {name!r}; there are {', '.join(wanted)}")
    chosen = [wanted[name] for name in only or sorted(wanted)]
    known = dict.fromkeys(each for root in chosen for each in root.architectures)
    for each in architectures:
        if each not in known:
            raise ImageError(f"no root is wanted for architecture {each!r}; known are {', '.join(known)}")
    written: list[tuple[Path, locks.Lock | None, locks.Lock]] = []
    for architecture in architectures or known:
        indexes: list[Index] = []
        candidates: list[Candidate] = []
        for archive, suite in release.SUITES:
            index, offered = release.fetch(
                archive, suite, architecture, mirrors(os.environ), release.keyring(os.environ), now, expired
            )
            indexes.append(index)
            candidates += offered
            yield f"lock: {archive} {suite} {architecture} {index.timestamp}, {len(offered)} packages, signature good"
        universe = Universe(candidates, architecture)
        for root in chosen:
            if architecture in root.architectures:
                name = roots.lock_name(root.name, architecture)
                path = bases / f"{name}.lock"
                old = locks.read(path) if path.exists() else None
                refuse_rollback(old, indexes)
                packages = resolve(universe, root.packages, root.without)
                written.append((path, old, locks.Lock(name, tuple(sorted(indexes)), packages)))
    for path, old, new in written:
        staged = path.with_suffix(f".{os.getpid()}")
        staged.write_text(locks.write(new), encoding="utf-8")
        staged.replace(path)
        yield from changes(old, new)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 when all locks were written, 1 with the reason on standard error otherwise."""
    parser = argparse.ArgumentParser(prog="python -m images.debian.update", description=__doc__)
    parser.add_argument("--bases", type=Path, default=Path(__file__).parents[2] / "bases", help="folder of the locks")
    parser.add_argument("--architecture", action="append", default=[], help="only this one, as Debian names it (default: all)")
    parser.add_argument("--root", action="append", default=[], help="only this root (default: all)")
    parser.add_argument(
        "--expired",
        action="store_true",
        help="take a signed Release that is past its Valid-Until, where a mirror has nothing newer that fits together; the lock "
        "tells its date, and a policy of `verify` can refuse its age",
    )
    options = parser.parse_args(argv)
    now = datetime.datetime.now(datetime.UTC)
    try:
        for line in update(options.bases, options.architecture, options.root, now, options.expired):
            print(line, flush=True)
    except ImageError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
