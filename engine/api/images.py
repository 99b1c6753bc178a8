"""Fields of ``Container`` by which images go in and out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from engine import folders
from engine.api.objects import File, expanded, load
from engine.errors import EngineError, Refused
from engine.graph import SCRATCH, Container, Op
from engine.oci import container_of, read_image
from engine.session.execute import Context


def _variants(ctx: Context, box: Container, variants: list[str] | None) -> list[Container]:
    boxes = [load(ctx, v, "Container") for v in variants or ()]
    return boxes if box.root == SCRATCH and boxes else [box, *boxes]


def as_tarball(
    ctx: Context,
    box: Container,
    platformVariants: list[str] | None = None,
    forcedCompression: str = "",
    mediaTypes: str = "",
) -> File:
    if forcedCompression in ("EStarGZ", "Zstd"):
        raise Refused(f"ImageLayerCompression.{forcedCompression}")
    boxes = _variants(ctx, box, platformVariants)
    docker = mediaTypes in ("DockerMediaTypes", "DOCKER")
    arguments = {"images": boxes, "docker": docker, "compression": forcedCompression}
    return File(Op("tarball", arguments, tuple(b.root for b in boxes)), "image.tar")


async def export(
    ctx: Context,
    box: Container,
    path: str,
    platformVariants: list[str] | None = None,
    forcedCompression: str = "",
    mediaTypes: str = "",
    expand: bool = False,
) -> str:
    tarball = as_tarball(ctx, box, platformVariants, forcedCompression, mediaTypes)
    entry = await ctx.solver.solve(tarball.op)
    target = Path(expanded(box, path) if expand else path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(folders.export_file, ctx.solver.store, entry, target)
    except OSError as error:
        raise EngineError(f"cannot write {target}: {error.strerror}") from None
    return str(target)


async def import_(ctx: Context, box: Container, source: str, tag: str = "") -> Container:
    op = load(ctx, source, "File").op
    entry = await ctx.solver.solve(op)
    _, (config, manifest) = await asyncio.to_thread(read_image, ctx.solver, entry, tag)
    described = container_of(box, config, manifest)
    return described.change(root=Op("image_root", {"tag": tag}, (op,)))


FIELDS: dict[str, Any] = {
    "asTarball": as_tarball,
    "export": export,
    "import": import_,
}
