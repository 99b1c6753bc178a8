"""Distroless runtime: no shell, no package manager, nothing that the service does not need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagger

from pipelines.stages.runtime import image

STAGE = "distroless"


async def distroless(
    builder: dagger.Directory,
    assembler: Path,
    spec: dict[str, Any],
    runtime: dagger.Directory,
    application: list[dagger.Directory],
    stage: str = STAGE,
) -> dagger.Directory:
    """The image as ``layout`` and ``report.json``, of layers (`runtime.layer`); ``application`` lie above, lowest first."""
    return await image(builder, assembler, spec, [runtime, *application], stage)
