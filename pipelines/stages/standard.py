"""Standard runtime: the distroless layers and, above the base, a shell and everyday tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagger

from pipelines.stages.runtime import image

STAGE = "standard"


async def standard(
    builder: dagger.Directory,
    assembler: Path,
    spec: dict[str, Any],
    runtime: dagger.Directory,
    tools: dagger.Directory,
    application: list[dagger.Directory],
    stage: str = STAGE,
) -> dagger.Directory:
    """The image as ``layout`` and ``report.json``, of layers (`runtime.layer`); ``application`` lie above, lowest first."""
    return await image(builder, assembler, spec, [runtime, tools, *application], stage)
