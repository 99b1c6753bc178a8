"""Source builder: distributions that have no wheel for a platform, from their locked source archives to wheels for it."""

from __future__ import annotations

import dagger

from pipelines.network import ENTER, Network
from pipelines.stages.bases import builder, script
from pipelines.stages.dependencies import ARCHIVES
from pipelines.stages.inside import text_of
from pipelines.stages.rust_builder import Cross

_PIP = "python3 -m pip --disable-pip-version-check"
_BUILD = "--no-deps --no-build-isolation --no-cache-dir"
#: As wheels: the earliest time that a zip knows.
_ZIP_EPOCH = "315532800"


async def wheels(
    base: dagger.Directory, requirements: dagger.File, cross: Cross, machine: str, network: Network
) -> dagger.Directory:
    """A directory with a wheel for each of the requirements, and ``archives.json`` of what they were made from.

    The interpreter that builds runs here, and takes the settings of the target's own (`sysconfig`): its headers, the names of its
    extension modules, its platform. Only the fetching has the network. Build backends are Debian's setuptools.

    Raises:
        dagger.ExecError: an archive cannot be had or is not the one whose hash is locked, or it cannot be compiled.
    """
    box = builder(base, cross.stage)
    for tree in cross.trees:
        box = box.with_directory("/", tree)
    fetched = (
        network.given(box)
        .with_mounted_file("/in/requirements.txt", requirements)
        .with_exec(
            script(
                ENTER, f"{_PIP} download {_BUILD} --no-binary :all: --require-hashes -d /sdists -r /in/requirements.txt"
            )
        )
        .directory("/sdists")
    )
    compiler = f"clang-19 --target={cross.gnu}"
    done = (
        box.with_mounted_directory("/sdists", fetched)
        .with_new_file("/source_archives.py", text_of("source_archives.py"))
        .with_env_variable("SOURCE_DATE_EPOCH", _ZIP_EPOCH)
        .with_env_variable("_PYTHON_SYSCONFIGDATA_NAME", f"_sysconfigdata__{cross.gnu}")
        .with_env_variable("_PYTHON_HOST_PLATFORM", f"linux-{machine}")
        .with_env_variable("CC", compiler)
        .with_env_variable("CFLAGS", "-g0")
        .with_env_variable("LDSHARED", f"{compiler} -fuse-ld=lld -shared -Wl,--strip-all")
        .with_exec(
            script(
                "mkdir -p /out /sources",
                f"python3 /source_archives.py /sdists /sources /out/{ARCHIVES}",
                f"for each in /sources/*; do {_PIP} wheel {_BUILD} --no-index -w /out $each; done",
            )
        )
    )
    return await done.directory("/out").sync()
