"""Rust builder: a cargo workspace and its lock file to one abi3 wheel, and the wheel to a tree."""

from __future__ import annotations

import dagger

from pipelines.network import ENTER, Network
from pipelines.stages.bases import builder, script
from pipelines.stages.dependencies import PACKAGES, fetched

STAGE = "rust builder"
#: The time of a wheel's entries, the earliest that a zip knows: a commit that leaves the core alone leaves its wheel alone.
_ZIP_EPOCH = "315532800"
_FORGET = (
    "import pathlib, sys; p = pathlib.Path(sys.argv[1]); "
    'p.write_text(chr(10).join(l for l in p.read_text().splitlines() if "direct_url.json" not in l) + chr(10))'
)


async def wheel(
    base: dagger.Directory,
    workspace: dagger.Directory,
    crate: str,
    requirements: dagger.File,
    network: Network,
) -> dagger.Directory:
    """A directory with the wheel of the workspace's crate.

    Crates are fetched by what ``Cargo.lock`` says, from manifests alone; the build itself has no need of the network.

    Raises:
        dagger.ExecError: a crate cannot be had or has another checksum, or the code does not compile.
    """
    box = builder(base, STAGE).with_env_variable("CARGO_HOME", "/cargo")
    tools = fetched(box, requirements, network)
    manifests = workspace.filter(include=["**/Cargo.toml", "Cargo.lock"])
    crates = (
        network.given(box)
        .with_directory("/src", manifests)
        .with_workdir("/src")
        .with_exec(
            script(
                ENTER,
                "mkdir -p /cargo",
                "if [ -f /tmp/network/cargo.toml ]; then cp /tmp/network/cargo.toml /cargo/config.toml; fi",
                # Cargo wants a target in each package before it reads their dependencies.
                "for manifest in */Cargo.toml; do mkdir -p ${manifest%/*}/src; : > ${manifest%/*}/src/lib.rs; done",
                "cargo fetch --locked",
                "rm -rf /cargo/registry/src /cargo/config.toml /cargo/.package-cache* /cargo/.global-cache",
            )
        )
        .directory("/cargo")
    )
    done = (
        box.with_directory("/tools", tools)
        .with_directory("/cargo", crates)
        .with_directory("/src", workspace)
        .with_workdir(f"/src/{crate}")
        .with_env_variable("CARGO_NET_OFFLINE", "true")
        .with_env_variable("CARGO_INCREMENTAL", "0")
        .with_env_variable("CARGO_TARGET_DIR", "/target")
        .with_env_variable("SOURCE_DATE_EPOCH", _ZIP_EPOCH)
        .with_env_variable("RUSTFLAGS", "--remap-path-prefix=/src=src --remap-path-prefix=/cargo=cargo")
        .with_env_variable("PYTHONPATH", "/tools")
        .with_exec(script("/tools/bin/maturin build --release --locked --offline --interpreter python3 --out /out"))
    )
    return await done.directory("/out").sync()


async def installed(base: dagger.Directory, wheels: dagger.Directory) -> dagger.Directory:
    """The wheel as a tree, as it stands in an image from its root on."""
    done = (
        builder(base, STAGE)
        .with_mounted_directory("/wheels", wheels)
        .with_exec(
            script(
                "python3 -m pip install --disable-pip-version-check --root-user-action=ignore --no-deps --no-index --no-compile "
                f"--target /out{PACKAGES} /wheels/*.whl",
                # Where pip found the wheel says nothing about what is in it.
                f"cd /out{PACKAGES} && rm -f *.dist-info/direct_url.json && python3 -c '{_FORGET}' *.dist-info/RECORD",
            )
        )
    )
    return await done.directory("/out").sync()
