"""The locked scanner for the tests' own use, outside of a build."""

from __future__ import annotations

from pathlib import Path

from tests.parts.kept import wheels


def scanner() -> Path:
    """The locked scanner, installed once a machine; skips the test where it cannot be had."""
    return wheels("scan") / "bin/trivy"
