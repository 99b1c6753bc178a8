"""Rust checker: formatting, clippy and the tests of a cargo workspace, on the builder's root and without network."""

from __future__ import annotations

import dagger

from pipelines.network import ENTER, Network
from pipelines.stages.bases import builder, script
from pipelines.stages.inside import text_of

STAGE = "rust checker"
_FILES = ["**/Cargo.toml", "**/Cargo.lock"]
#: Every package that lies here, be it a member of the workspace or a path that it depends on, as words for `cargo clean`.
_LOCAL = (
    "import json, subprocess; "
    'text = subprocess.check_output(["cargo", "metadata", "--offline", "--locked", "--format-version", "1"]); '
    'print(*("-p " + p["name"] for p in json.loads(text)["packages"] if p["source"] is None))'
)
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
        ready = crates_compiled(builder(root, STAGE), source, workspace, network, CLIPPY)
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
    ready = crates_compiled(builder(base, STAGE), source, workspace, network, f"{TESTS} --no-run")
    for name, value in sorted(environment.items()):
        ready = ready.with_env_variable(name, value)
    return await ready.with_exec(script(TESTS)).stdout()


def crates_compiled(
    box: dagger.Container, source: dagger.Directory, workspace: str, network: Network, command: str
) -> dagger.Container:
    """A container in the workspace whose crates are compiled, from the manifests alone: an edit compiles none of them."""
    manifests = (
        box.with_directory("/src", source.filter(include=_FILES))
        .with_new_file("/stubs.py", text_of("cargo_stubs.py"))
        .with_exec(script("python3 /stubs.py /src"))
        .directory("/src")
    )
    fetched = (
        network.given(box)
        .with_env_variable("CARGO_HOME", "/cargo")
        .with_directory("/src", manifests)
        .with_workdir(f"/src/{workspace}")
        .with_exec(
            script(
                ENTER,
                "mkdir -p /cargo",
                "if [ -f /tmp/network/cargo.toml ]; then cp /tmp/network/cargo.toml /cargo/config.toml; fi",
                "cargo fetch --locked",
                "rm -rf /cargo/registry/src /cargo/config.toml /cargo/.package-cache* /cargo/.global-cache",
            )
        )
        .directory("/cargo")
    )
    return (
        box.with_env_variable("CARGO_HOME", "/cargo")
        .with_env_variable("CARGO_TARGET_DIR", "/target")
        .with_env_variable("CARGO_INCREMENTAL", "0")
        .with_directory("/cargo", fetched)
        .with_directory("/src", manifests)
        .with_workdir(f"/src/{workspace}")
        .with_exec(
            script(
                f"{command} || echo 'the crates could not be compiled ahead of the workspace' >&2",
                # What was made from a stub must not pass for the real thing, whatever its time says.
                f"cargo clean --offline $(python3 -c '{_LOCAL}') || rm -rf /target",
                "cd / && rm -rf /src",
            )
        )
        .with_directory("/src", source)
    )
