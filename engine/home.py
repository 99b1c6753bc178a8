"""Where the store lies and what it may grow to: all that a session reads before a program starts beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from engine.amounts import seconds_of, size_of
from engine.errors import EngineError

SIZE = "PIPELINES_CACHE_SIZE"
AGE = "PIPELINES_CACHE_AGE"
_DEFAULT_SIZE, _DEFAULT_AGE = "20GB", "30d"

_FOLDERS = ("blobs", "layers", "volumes", "tmp", "tools")


def default_root() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return f"{base}/pipelines-engine"


def make(root: str) -> None:
    """Make the folders of a store.

    Raises:
        EngineError: they cannot be made, or not be written.
    """
    try:
        for name in _FOLDERS:
            os.makedirs(f"{root}/{name}", mode=0o700, exist_ok=True)
    except OSError as error:
        raise unusable(root, error) from None


def unusable(root: str, error: OSError) -> EngineError:
    return EngineError(
        f"the engine's store cannot be made at {root}: {error.strerror}; set XDG_CACHE_HOME to a folder that you can write"
    )


class Bounds(NamedTuple):
    """What a store keeps by itself: results for ``age`` seconds after their last use, ``size`` bytes in all."""

    age: float
    size: int


def bounds(environment: Mapping[str, str] = os.environ) -> Bounds:
    """The bounds by ``PIPELINES_CACHE_AGE`` and ``PIPELINES_CACHE_SIZE``.

    Raises:
        EngineError: one of them is no age or size.
    """
    try:
        return Bounds(seconds_of(environment.get(AGE) or _DEFAULT_AGE), size_of(environment.get(SIZE) or _DEFAULT_SIZE))
    except EngineError as error:
        raise EngineError(f"{AGE} or {SIZE}: {error}") from None
