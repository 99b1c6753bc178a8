"""Fields of ``Container`` by which images go in and out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from engine import folders
from engine.api.objects import File, expanded, load, refusing
from engine.errors import EngineError, Refused
from engine.graph import SCRATCH, Container, Op
from engine.oci import container_of, read_image
from engine.registry import Reference, push
from engine.session.execute import Context

_DOCKER_TYPES = ("DockerMediaTypes", "DOCKER")


def _variants(ctx: Context, box: Container, variants: list[str] | None) -> list[Container]:
    boxes = [load(ctx, v, "Container") for v in variants or ()]
    if box.root == SCRATCH and not boxes:
        raise EngineError("the container has no root: an image needs one")
    boxes = boxes if box.root == SCRATCH else [box, *boxes]
    return sorted({b.platform: b for b in reversed(boxes)}.values(), key=lambda b: b.platform)


def _refuse_compression(compression: str) -> None:
    if compression in ("EStarGZ", "Zstd"):
        raise Refused(f"ImageLayerCompression.{compression}")


def as_tarball(
    ctx: Context,
    box: Container,
    platformVariants: list[str] | None = None,
    forcedCompression: str = "",
    mediaTypes: str = "",
) -> File:
    _refuse_compression(forcedCompression)
    boxes = _variants(ctx, box, platformVariants)
    arguments = {"images": boxes, "docker": mediaTypes in _DOCKER_TYPES, "compression": forcedCompression}
    return File(Op("tarball", arguments, tuple(b.root for b in boxes)), "container.tar")


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
    _, (config, manifest) = await asyncio.to_thread(read_image, ctx.solver, entry, tag, box.platform)
    root = Op("image_root", {"tag": tag, "platform": box.platform}, (op,))
    return container_of(box, config, manifest).change(root=root)


@refusing("registryService")
async def from_(ctx: Context, box: Container, address: str) -> Container:
    image = await ctx.solver.pulled(str(Reference.parse(address)), box.platform)
    described = container_of(box, image.config, {})
    root = Op("pulled_root", {"reference": image.reference, "platform": box.platform})
    return described.change(root=root, image_ref=image.reference)


@refusing("registryService")
async def publish(
    ctx: Context,
    box: Container,
    address: str,
    platformVariants: list[str] | None = None,
    forcedCompression: str = "",
    mediaTypes: str = "",
) -> str:
    reference = Reference.parse(address)
    _refuse_compression(forcedCompression)
    boxes = _variants(ctx, box, platformVariants)
    images = list(zip(boxes, await asyncio.gather(*(ctx.solver.solve(b.root) for b in boxes)), strict=True))
    docker = mediaTypes in _DOCKER_TYPES
    return await asyncio.to_thread(push, ctx.solver, images, reference, docker, forcedCompression)


def image_ref(ctx: Context, box: Container) -> str:
    if not box.image_ref:
        raise EngineError(
            "Image reference can only be retrieved immediately after the 'Container.From' call. "
            "Error in fetching imageRef as the container image is changed"
        )
    return box.image_ref


async def with_registry_auth(ctx: Context, box: Container, address: str, username: str, secret: str) -> Container:
    password: bytes = ctx.solver.secrets.value(load(ctx, secret, "Secret"))
    ctx.solver.credentials[Reference.parse(address, host_alone=True).host] = (username, password.decode())
    return box


async def without_registry_auth(ctx: Context, box: Container, address: str) -> Container:
    ctx.solver.credentials.pop(Reference.parse(address, host_alone=True).host, None)
    return box


FIELDS: dict[str, Any] = {
    "asTarball": as_tarball,
    "export": export,
    "from": from_,
    "imageRef": image_ref,
    "import": import_,
    "publish": publish,
    "withRegistryAuth": with_registry_auth,
    "withoutRegistryAuth": without_registry_auth,
}
