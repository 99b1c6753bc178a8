"""Dependencies: hashed requirements as one tree, byte-compiled with hash-based files."""

from __future__ import annotations

import dagger
from dagger import dag

from pipelines.network import ENTER, Network
from pipelines.stages.bases import builder, script

PACKAGES = "/usr/local/lib/python3.13/dist-packages"
INSTALL = (
    "python3 -m pip install --disable-pip-version-check --root-user-action=ignore "
    "--no-warn-script-location --no-deps --no-compile --only-binary=:all: --require-hashes"
)
#: Scripts go where programs are looked for; what pip notes of its own run does not belong into an image.
SETTLE = (
    f"if [ -d /out{PACKAGES}/bin ]; then mkdir -p /out/usr/local/bin && mv /out{PACKAGES}/bin/* /out/usr/local/bin/ "
    f"&& rmdir /out{PACKAGES}/bin; fi"
)


def fetched(box: dagger.Container, requirements: dagger.File, network: Network) -> dagger.Directory:
    """Programs of hashed requirements for a stage's own use: modules at the root, scripts in ``bin``."""
    return (
        network.given(box)
        .with_mounted_file("/in/requirements.txt", requirements)
        .with_mounted_cache("/root/.cache/pip", dag.cache_volume("pip"))
        .with_exec(script(ENTER, f"{INSTALL} --target /out -r /in/requirements.txt"))
        .directory("/out")
    )


def compiled(folder: str) -> str:
    """The shell line that byte-compiles a tree which will stand at the root: the same bytes on any machine."""
    return f"python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -s /out -p / /out{folder}"


async def dependencies(base: dagger.Directory, requirements: dagger.File, network: Network) -> dagger.Directory:
    """The tree of the requirements, as it stands in an image from its root on.

    Raises:
        dagger.ExecError: a requirement cannot be had, or is not the one whose hash is locked.
    """
    stage = "dependencies"
    box = network.given(builder(base, stage)).with_mounted_file("/in/requirements.txt", requirements)
    box = box.with_mounted_cache("/root/.cache/pip", dag.cache_volume("pip"))
    done = box.with_exec(
        script(ENTER, f"{INSTALL} --target /out{PACKAGES} -r /in/requirements.txt", SETTLE, compiled(PACKAGES))
    )
    return await done.directory("/out").sync()
