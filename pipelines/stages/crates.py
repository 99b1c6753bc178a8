"""Crates of a cargo workspace: fetched by its lock file, and compiled from the manifests alone.

A source of the workspace that changes compiles the workspace and no crate. Only the fetching has the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import dagger

from pipelines.network import ENTER, Network
from pipelines.stages.bases import script
from pipelines.stages.inside import text_of

#: Every package that lies here, be it a member of the workspace or a path that it depends on, as words for `cargo clean`.
_LOCAL = (
    "import json, subprocess; "
    'text = subprocess.check_output(["cargo", "metadata", "--offline", "--locked", "--format-version", "1"]); '
    'print(*("-p " + p["name"] for p in json.loads(text)["packages"] if p["source"] is None))'
)


@dataclass(frozen=True, slots=True)
class Crates:
    """The manifests and lock files of a source with empty sources beside them, and cargo's home with every crate as an archive."""

    manifests: dagger.Directory
    home: dagger.Directory


def fetched(box: dagger.Container, source: dagger.Directory, workspace: str, network: Network) -> Crates:
    """What the lock file of a workspace of the source names."""
    manifests = (
        box.with_directory("/src", source.filter(include=["**/Cargo.toml", "**/Cargo.lock", "**/pyproject.toml"]))
        .with_new_file("/stubs.py", text_of("cargo_stubs.py"))
        .with_exec(script("python3 /stubs.py /src"))
        .directory("/src")
    )
    home = (
        network.given(box)
        .with_env_variable("CARGO_HOME", "/cargo")
        .with_directory("/src", manifests)
        .with_workdir(f"/src/{workspace}")
        .with_exec(
            script(
                ENTER,
                "mkdir -p /cargo",
                "if [ -f /tmp/network/cargo.toml ]; then cp /tmp/network/cargo.toml /cargo/config.toml; fi",
                # What hung for each attempt of one cargo, the next one asks for anew.
                "cargo fetch --locked || { sleep 5; cargo fetch --locked; }",
                "rm -rf /cargo/registry/src /cargo/config.toml /cargo/.package-cache* /cargo/.global-cache",
            )
        )
        .directory("/cargo")
    )
    return Crates(manifests, home)


def compiled(
    box: dagger.Container, crates: Crates, source: dagger.Directory, workspace: str, command: str, profile: str = ""
) -> dagger.Container:
    """A container in the workspace, with its source, whose crates ``command`` has compiled; no step of it needs the network.

    ``profile`` is what `cargo clean` needs to be told of ``command``: nothing, or ``--release``.
    """
    return ahead(box, crates, workspace, command, profile).with_directory("/src", source)


def ahead(box: dagger.Container, crates: Crates, workspace: str, command: str, profile: str = "") -> dagger.Container:
    """The same without the source."""
    return (
        box.with_env_variable("CARGO_HOME", "/cargo")
        .with_env_variable("CARGO_TARGET_DIR", "/target")
        .with_env_variable("CARGO_INCREMENTAL", "0")
        .with_env_variable("CARGO_NET_OFFLINE", "true")
        .with_directory("/cargo", crates.home)
        .with_directory("/src", crates.manifests)
        .with_workdir(f"/src/{workspace}")
        .with_exec(
            script(
                # A workspace that cargo does not take without its sources is compiled whole in the next step.
                f"{command} || echo 'the crates could not be compiled ahead of the workspace' >&2",
                # What was made from a stub must not pass for the real thing, whatever its time says.
                f"cargo clean {profile} --offline $(python3 -c '{_LOCAL}') || rm -rf /target",
                "cd / && rm -rf /src",
            )
        )
    )
