"""What both runtimes share: the assembler as a step, and the layers' order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagger
from dagger import dag

from images import manifest as manifests
from images.digest import Digest
from pipelines.stages.bases import builder, compiled_like, script

_ASSEMBLER = [
    f"{name}.py"
    for name in ("__init__", "assemble", "digest", "elf", "errors", "layer", "manifest", "pack", "packages")
]
TREE = "/tree"
PACK = "PYTHONPATH=/opt python3 -m images.pack /layer.json /out"


async def python_compiled(
    base: dagger.Directory, tree: dagger.Directory, stage: str, known: dagger.Directory | None = None
) -> dagger.Directory:
    """A runtime root with its standard library byte-compiled, so that processes start at once; ``known`` is such a root of
    another platform.
    """
    if known:
        return await compiled_like(base, tree, "/usr/lib/python3.13", known, stage).sync()
    done = (
        builder(base, stage)
        .with_directory("/out", tree)
        .with_exec(
            script(
                "python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -s /out -p / /out/usr/lib/python3.13"
            )
        )
    )
    return await done.directory("/out").sync()


def layer(
    base: dagger.Directory, assembler: Path, name: str, tree: dagger.Directory, stage: str, **more: Any
) -> dagger.Directory:
    """A tree as a layer: its blob below ``blobs/sha256``, and ``layer.json``. ``more`` is the assembler's (`images.pack`)."""
    return (
        packer(base, assembler, {"name": name, **more}, stage)
        .with_mounted_directory(TREE, tree)
        .with_exec(script(PACK))
        .directory("/out")
    )


def packer(base: dagger.Directory, assembler: Path, described: dict[str, Any], stage: str) -> dagger.Container:
    """A container in which :data:`PACK` makes the layer that is described, out of the tree at :data:`TREE`."""
    return (
        builder(base, stage)
        .with_mounted_directory("/opt/images", dag.host().directory(str(assembler), include=_ASSEMBLER))
        .with_new_file("/layer.json", json.dumps({"source": TREE, **described}, sort_keys=True))
    )


async def image(
    base: dagger.Directory, assembler: Path, spec: dict[str, Any], layers: list[dagger.Directory], stage: str
) -> dagger.Directory:
    """A directory with ``layout`` (an OCI image layout) and ``report.json``; ``layers`` as :func:`layer` makes them."""
    box = builder(base, stage).with_mounted_directory(
        "/opt/images", dag.host().directory(str(assembler), include=_ASSEMBLER)
    )
    described = []
    for number, packed in enumerate(layers):
        box = box.with_mounted_file(f"/in/{number}.json", packed.file("layer.json"))
        described.append({"packed": f"/in/{number}.json"})
    done = (
        box.with_new_file("/spec.json", json.dumps({**spec, "layers": described}, sort_keys=True))
        .with_exec(
            script(
                "mkdir -p /out",
                "PYTHONPATH=/opt python3 -m images.assemble /spec.json /out/layout --report /out/report.json",
            )
        )
        .directory("/out")
    )
    # The engine puts blobs together by name: however large they are, no step has to copy them.
    for packed in layers:
        done = done.with_directory("layout/blobs", packed.directory("blobs"))
    return await done.sync()


def index(images: Sequence[dagger.Directory], descriptors: Sequence[dict[str, Any]], ref: str) -> dagger.Directory:
    """One layout of an index, from those of an image a platform; ``descriptors`` are what their ``index.json`` say."""
    inner, outer = manifests.nested(descriptors, ref)
    whole = dag.directory().with_new_file("oci-layout", manifests.LAYOUT.decode())
    for each in images:
        whole = whole.with_directory("blobs", each.directory("layout/blobs"))
    return whole.with_new_file(f"blobs/sha256/{Digest.of(inner).hex}", inner.decode()).with_new_file(
        "index.json", outer.decode()
    )
