"""Variants: what an image may hold beside the project's own dependencies, each part a layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anyio
import dagger

from pipelines.network import Network
from pipelines.stages.bases import Download, Seed, builder, root, script
from pipelines.stages.dependencies import compiled, layered
from pipelines.stages.runtime import layer, packer

STAGE = "variant"
#: What Debian's alternatives would choose for a library that has several builds, where no maintainer script runs.
_CHOSEN = (
    "cd /out/usr/lib && for name in blas lapack; do for found in */$name/lib$name.so.3; do "
    'if [ -e "$found" ] && [ ! -e "${found%%/*}/lib$name.so.3" ]; '
    'then ln -s "$name/lib$name.so.3" "${found%%/*}/lib$name.so.3"; fi; done; done'
)
#: gzip's, for distributions: of libraries of gigabytes a third of the time counts for more than a twentieth of the size.
_LEVEL = 1
_DEBIAN_PYTHON = "/usr/lib/python3"


async def installed(
    base: dagger.Directory, assembler: Path, requirements: Mapping[str, str], network: Network
) -> dict[str, dagger.Directory]:
    """Layers by name (`dependencies.layered`), each of the requirements that are given for it, made beside each other.

    Raises:
        dagger.ExecError: a requirement cannot be had, or is not the one whose hash is locked.
    """
    made: dict[str, dagger.Directory] = {}

    async def one(name: str, text: str) -> None:
        made[name] = await layered(packer(base, assembler, {"name": name, "level": _LEVEL}, STAGE), text, network).sync()

    async with anyio.create_task_group() as group:
        for name, text in requirements.items():
            group.start_soon(one, name, text)
    return {name: made[name] for name in requirements}


async def packages(
    base: dagger.Directory, assembler: Path, seed: Seed, downloads: tuple[Download, ...], name: str
) -> dagger.Directory:
    """A layer of Debian packages, to lie over a root; errors as `bases.root`."""
    tree = await root(seed, downloads, STAGE, alone=False, prune=True)
    done = builder(base, STAGE).with_directory("/out", tree)
    done = done.with_exec(script(_CHOSEN, f"if [ -d /out{_DEBIAN_PYTHON} ]; then {compiled(_DEBIAN_PYTHON)}; fi"))
    return await layer(base, assembler, name, done.directory("/out"), STAGE).sync()
