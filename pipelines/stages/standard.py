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
    application: list[tuple[str, dagger.Directory]],
) -> dagger.Directory:
    """The image as ``layout`` and ``report.json``; ``application`` are the layers above, by name, lowest first."""
    return await image(builder, assembler, spec, [("base", runtime), ("tools", tools), *application], STAGE)
