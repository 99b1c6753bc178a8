"""What tests share: a store of their own kind, and a root with busybox alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session")
def busybox() -> Path:
    """The static busybox of the sandbox lock."""
    from pipelines.errors import PipelineError
    from pipelines.inputs import seed

    try:
        return seed().busybox
    except PipelineError as error:
        pytest.skip(f"busybox cannot be had: {error}")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a program that is run by a test, with no session in it."""
    for name in ("DAGGER_SESSION_PORT", "DAGGER_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield {**os.environ, "PYTHONPATH": str(HERE)}
