"""Rust checker: formatting, clippy and the tests of a cargo workspace, on the builder's root and without network."""

from __future__ import annotations

import dagger

from pipelines.network import Network
from pipelines.stages.bases import builder, script
from pipelines.stages.crates import compiled, fetched

STAGE = "rust checker"
CLIPPY = "cargo clippy --locked --offline --all-targets"
TESTS = "cargo test --locked --offline"


async def linted(
    base: dagger.Directory,
    tools: dagger.Directory,
    source: dagger.Directory,
    workspaces: tuple[str, ...],
    network: Network,
) -> str:
    """What ``cargo fmt --check`` and clippy say of workspaces of the source; a warning of clippy's is an error.

    Raises:
        dagger.ExecError: a source is formatted in another way, or clippy has found something.
    """
    root = base.with_directory("/", tools)
    said = []
    for workspace in workspaces:
        box = builder(root, STAGE)
        ready = compiled(box, fetched(box, source, workspace, network), source, workspace, CLIPPY)
        done = ready.with_exec(script("cargo fmt --all --check", f"{CLIPPY} -- -D warnings"))
        said.append(await done.stderr())
    return "".join(said)


async def tested(
    base: dagger.Directory, source: dagger.Directory, workspace: str, network: Network, environment: dict[str, str]
) -> str:
    """What the tests of a workspace say.

    Raises:
        dagger.ExecError: one failed, or they do not compile.
    """
    box = builder(base, STAGE)
    ready = compiled(box, fetched(box, source, workspace, network), source, workspace, f"{TESTS} --no-run")
    for name, value in sorted(environment.items()):
        ready = ready.with_env_variable(name, value)
    return await ready.with_exec(script(TESTS)).stdout()
