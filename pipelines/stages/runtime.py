"""What both runtimes share: the assembler as a step, and the layers' order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagger
from dagger import dag

from pipelines.stages.bases import builder, script

_ASSEMBLER = ["__init__.py", "assemble.py", "digest.py", "errors.py", "layer.py", "manifest.py", "packages.py"]


async def python_compiled(base: dagger.Directory, tree: dagger.Directory, stage: str) -> dagger.Directory:
    """A runtime root with its standard library byte-compiled, so that processes start at once."""
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


async def image(
    base: dagger.Directory,
    assembler: Path,
    spec: dict[str, Any],
    layers: list[tuple[str, dagger.Directory]],
    stage: str,
) -> dagger.Directory:
    """A directory with ``layout`` (an OCI image layout) and ``report.json``; layers as named, lowest first."""
    box = builder(base, stage).with_mounted_directory(
        "/opt/images", dag.host().directory(str(assembler), include=_ASSEMBLER)
    )
    described = []
    for number, (name, tree) in enumerate(layers):
        box = box.with_mounted_directory(f"/in/{number}", tree)
        more = {"directories": spec["directories"]} if number == 0 else {}
        described.append({"name": name, "source": f"/in/{number}", **more})
    text = json.dumps({**{k: v for k, v in spec.items() if k != "directories"}, "layers": described}, sort_keys=True)
    done = (
        box.with_new_file("/spec.json", text)
        .with_env_variable("PYTHONPATH", "/opt")
        .with_exec(
            script(
                "mkdir -p /out",
                "python3 -m images.assemble /spec.json /out/layout --report /out/report.json",
            )
        )
    )
    return await done.directory("/out").sync()
