"""The roots that are made of Debian packages: `bases/roots.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from images.errors import ImageError

_KEYS = {"packages", "without", "architectures"}
ARCHITECTURE = "amd64"
"""That of a root whose table names none: the roots that builds run in, and the first of those that images stand on."""


@dataclass(frozen=True)
class Root:
    """What a root wants; `without` names packages that count as present and are never taken.

    There is one lock an architecture (Debian's names).
    """

    name: str
    packages: tuple[str, ...]
    without: tuple[str, ...] = ()
    architectures: tuple[str, ...] = (ARCHITECTURE,)


def lock_name(root: str, architecture: str = ARCHITECTURE) -> str:
    """The name of a root's lock, without its folder and `.lock`."""
    return root if architecture == ARCHITECTURE else f"{root}.{architecture}"


def read(path: Path) -> dict[str, Root]:
    """The roots of a file, by name; raises ImageError for what is wrong in it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}; give the folder of roots.toml with --bases") from None
    except tomllib.TOMLDecodeError as error:
        raise ImageError(f"{path}: {error}") from None
    return {name: _root(name, value, f"{path}: root {name}") for name, value in table.items()}


def _root(name: str, value: object, where: str) -> Root:
    if not isinstance(value, dict):
        raise ImageError(f"{where}: expected a table [{name}]")
    if unknown := sorted(set(value) - _KEYS):
        raise ImageError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    lists: dict[str, tuple[str, ...]] = {}
    for key in _KEYS:
        found = value.get(key, [])
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise ImageError(f"{where}: {key} is not a list of strings")
        lists[key] = tuple(found)
    if not lists["packages"]:
        raise ImageError(f"{where}: no packages")
    return Root(name, lists["packages"], lists["without"], lists["architectures"] or (ARCHITECTURE,))
