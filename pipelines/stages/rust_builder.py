"""Rust builder: a cargo workspace and its lock file to one abi3 wheel, and the wheel to a tree."""

from __future__ import annotations

from dataclasses import dataclass

import dagger

from pipelines.network import Network
from pipelines.stages import crates, dependencies
from pipelines.stages.bases import STAGE as STAGE_VARIABLE
from pipelines.stages.bases import builder, script
from pipelines.stages.dependencies import PACKAGES
from pipelines.stages.inside import text_of

STAGE = "rust builder"
#: The time of a wheel's entries, the earliest that a zip knows: a commit that leaves the core alone leaves its wheel alone.
_ZIP_EPOCH = "315532800"
_MATURIN = "/tools/bin/maturin build --release --locked --offline --interpreter python3"
#: Which crates a program was compiled from, in a section of it, where scanners look (cargo-auditable's format). An object
#: file for the linker is all that takes: the tool itself would be compiled at each cold build, and is not in Debian.
_AUDIT = (
    "cargo metadata --format-version 1 --locked --offline --filter-platform $target > /tmp/metadata.json",
    "python3 /auditable.py /tmp/metadata.json /tmp/crates",
    'printf \'.section .dep-v0,"a"\\n.globl AUDITABLE_VERSION_INFO\\nAUDITABLE_VERSION_INFO:\\n.incbin "/tmp/crates"\\n'
    '.section .note.GNU-stack,"",%%progbits\\n\' > /tmp/crates.s',
    "$TARGET_CC -c /tmp/crates.s -o /tmp/crates.o",
)
_LINK = "-Clink-arg=/tmp/crates.o -Clink-arg=-Wl,--undefined=AUDITABLE_VERSION_INFO"
_FORGET = (
    "import pathlib, sys; p = pathlib.Path(sys.argv[1]); "
    'p.write_text(chr(10).join(l for l in p.read_text().splitlines() if "direct_url.json" not in l) + chr(10))'
)


@dataclass(frozen=True, slots=True)
class Cross:
    """Another platform to compile for: rustc's target, GNU's triplet, and trees that go over the builder's root with a compiler
    and linker for it and the target's standard libraries."""

    target: str
    gnu: str
    trees: tuple[dagger.Directory, ...]
    stage: str = STAGE


#: Debian's Rust for the machine that builds. It is always named, so that cargo keeps what runs here (build scripts, macros)
#: apart from what is for a target, and compiles it once for all of them.
_HOST = "x86_64-unknown-linux-gnu"
_REMAP = "--remap-path-prefix=/src=src --remap-path-prefix=/cargo=cargo"


async def wheel(
    base: dagger.Directory,
    workspace: dagger.Directory,
    crate: str,
    requirements: dagger.File,
    network: Network,
    cross: Cross | None = None,
) -> dagger.Directory:
    """A directory with the wheel of the workspace's crate, and ``archives.json`` of the tools that built it.

    Crates are fetched by what ``Cargo.lock`` says and compiled from the manifests alone, so that a source of the
    workspace that changes compiles the workspace and no crate. Only the fetching has the network.

    Raises:
        dagger.ExecError: a crate cannot be had or has another checksum, or the code does not compile.
    """
    box = builder(base, STAGE)
    tools = (
        box.with_directory("/tools", dependencies.fetched(box, requirements, network))
        .with_env_variable("SOURCE_DATE_EPOCH", _ZIP_EPOCH)
        .with_env_variable("PYTHONPATH", "/tools")
        .with_env_variable("RUSTFLAGS", _REMAP)
        .with_env_variable("TARGET_CC", "gcc")
    )
    fetched = crates.fetched(box, workspace, crate, network)
    target, ready = _HOST, _ahead(tools, fetched, crate, _HOST)
    if cross:
        target, ready = cross.target, _ahead(_crossing(ready, cross), fetched, crate, cross.target)
    done = (
        ready.with_directory("/src", workspace)
        .with_new_file("/auditable.py", text_of("auditable.py"))
        .with_exec(
            script(
                "rm -rf /stub",
                f"target={target}",
                *_AUDIT,
                f"{_MATURIN} --target {target} --out /out -- {_LINK}",
                f"cp /tools/{dependencies.ARCHIVES} /out/",
            )
        )
    )
    return await done.directory("/out").sync()


def _ahead(box: dagger.Container, fetched: crates.Crates, crate: str, target: str) -> dagger.Container:
    return crates.ahead(
        box, fetched, crate, f"{_MATURIN} --target {target} --out /stub", f"--release --target {target}"
    )


def _crossing(box: dagger.Container, cross: Cross) -> dagger.Container:
    """The container, in which what runs here is compiled already, with what compiles for another platform."""
    compiler = f"clang-19 --target={cross.gnu}"
    flags = f"{_REMAP} -Clinker=clang-19 -Clink-arg=--target={cross.gnu} -Clink-arg=-fuse-ld=lld"
    for tree in cross.trees:
        box = box.with_directory("/", tree)
    name = cross.target.replace("-", "_")
    return (
        box.with_env_variable(STAGE_VARIABLE, cross.stage)
        .with_env_variable("TARGET_CC", compiler)
        .with_env_variable(f"CC_{name}", "clang-19")
        .with_env_variable(f"CFLAGS_{name}", f"--target={cross.gnu}")
        .with_env_variable("RUSTFLAGS", flags)
    )


async def installed(
    base: dagger.Directory, wheels: dagger.Directory, tags: tuple[str, ...] = (), stage: str = STAGE
) -> dagger.Directory:
    """The wheel as a tree, as it stands in an image from its root on; ``tags`` are those of another platform's wheels.

    Raises:
        dagger.ExecError: the wheel is not tagged as one of its platform.
    """
    words = "".join(f"--platform {tag} " for tag in tags) + "--only-binary=:all: " if tags else ""
    done = (
        builder(base, stage)
        .with_mounted_directory("/wheels", wheels)
        .with_exec(
            script(
                "python3 -m pip install --disable-pip-version-check --root-user-action=ignore --no-deps --no-index --no-compile "
                f"{words}--target /out{PACKAGES} /wheels/*.whl",
                # Where pip found the wheel says nothing about what is in it.
                f"cd /out{PACKAGES} && rm -f *.dist-info/direct_url.json && python3 -c '{_FORGET}' *.dist-info/RECORD",
            )
        )
    )
    return await done.directory("/out").sync()
