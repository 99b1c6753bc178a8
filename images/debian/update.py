"""``python -m images.debian.update``: write the locks of all roots from what the archive has signed today."""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from pathlib import Path

from images.debian import lock as locks
from images.debian.mirror import mirrors
from images.debian.release import Release, read_packages, read_release
from images.debian.resolve import Universe, candidates, resolve
from images.errors import ImageError

SUITES = (("debian", "trixie"), ("debian", "trixie-updates"), ("debian-security", "trixie-security"))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m images.debian.update", description=__doc__)
    parser.add_argument("--bases", type=Path, default=Path(__file__).parents[2] / "bases")
    parser.add_argument("--architecture", default="amd64")
    parser.add_argument("--root", action="append", help="only this root (default: all)")
    options = parser.parse_args(argv)
    try:
        update(options.bases, options.architecture, options.root)
    except ImageError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    return 0


def update(bases: Path, architecture: str, only: list[str] | None) -> None:
    """Write the locks; none is written unless all could be resolved."""
    try:
        roots = tomllib.loads((bases / "roots.toml").read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ImageError(f"{bases / 'roots.toml'}: {error}") from None
    where = mirrors(os.environ)
    found, indexes = [], []
    for archive, suite in SUITES:
        print(f"lock: {archive} {suite}", file=sys.stderr)
        release: Release = read_release(where, archive, suite)
        text, digest = read_packages(where, release, architecture)
        found += candidates(text, archive)
        indexes.append(locks.Index(archive, suite, release.timestamp, release.sha256, digest, architecture))
    universe = Universe(found)
    written = {}
    for name, root in roots.items():
        if only and name not in only:
            continue
        chosen = resolve(universe, root["packages"], root.get("without", ()))
        packages = tuple(
            locks.Package(c.name, c.version, c.architecture, c.archive, c.size, c.sha256, c.path) for c in chosen.values()
        )
        written[bases / f"{name}.lock"] = locks.write(locks.Lock(name, tuple(indexes), packages))
    for path, text in written.items():
        before = set(path.read_text().splitlines()) if path.exists() else set()
        after = set(text.splitlines())
        for line in sorted(before ^ after):
            if line.startswith("package "):
                print(f"{path.stem}: {'+' if line in after else '-'} {' '.join(line.split()[1:3])}")
        staged = path.with_suffix(".new")
        staged.write_text(text)
        staged.replace(path)


if __name__ == "__main__":
    sys.exit(main())
