"""Debian's cosign, skopeo, oras and docker-registry, out of locked packages, run through their own ld-linux."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.store import Store
from engine.tools import Tools, tools

LOCK = Path(__file__).parents[2] / "bases" / "toolbox.lock"


@cache
def _tools(lock: Path) -> Tools | str:
    store = Store()
    try:
        return tools(store, lock)
    except EngineError as error:
        return str(error)
    finally:
        store.close()


def program(name: str, lock: Path = LOCK) -> list[str]:
    """The words that start a program of a lock; skips the test where its packages cannot be had."""
    found = _tools(lock)
    if isinstance(found, str):
        pytest.skip(found)
    return found.program(name)


def run(
    words: Sequence[str], environment: Mapping[str, str], fails: bool = False, timeout: int = 180
) -> subprocess.CompletedProcess[str]:
    """What a program said; it must succeed, or fail where that is wanted."""
    done = subprocess.run(words, env=dict(environment), capture_output=True, text=True, timeout=timeout, check=False)
    assert bool(done.returncode) == fails, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done
