"""Roots out of locked Debian packages: downloaded with their checksums and unpacked in a step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anyio
import dagger
from dagger import dag

from pipelines.errors import PipelineError
from pipelines.stages.inside import text_of

STAGE = "PIPELINES_STAGE"
#: Packages asked for at a time; engines and mirrors limit the downloads themselves.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Download:
    """A package to fetch: a name to keep the order by, what it is, addresses as they are preferred, ``sha256:…``."""

    name: str
    package: str
    urls: tuple[str, ...]
    checksum: str


@dataclass(frozen=True, slots=True)
class Seed:
    """What the first container is made of: busybox and the script that unpacks, as files of the host."""

    busybox: Path
    unpack: Path


def _first(seed: Seed) -> dagger.Container:
    folder = dag.host().directory(str(seed.busybox.parent), include=[seed.busybox.name])
    script = dag.host().directory(str(seed.unpack.parent), include=[seed.unpack.name])
    return (
        dag.container()
        .with_file("/bin/busybox", folder.file(seed.busybox.name), permissions=0o755)
        .with_env_variable("PATH", "/bin")
        .with_exec(["/bin/busybox", "--install", "-s", "/bin"])
        .with_file("/unpack.sh", script.file(seed.unpack.name), permissions=0o644)
    )


async def root(
    seed: Seed,
    downloads: tuple[Download, ...],
    stage: str,
    *,
    alone: bool = True,
    prune: bool = False,
    user: str = "",
    uid: int = 0,
) -> dagger.Directory:
    """The tree of the packages. ``alone``: with accounts and the merged /usr, to be a root by itself.

    Raises:
        PipelineError: a package cannot be had from any address, or is not the one that is locked.
        dagger.ExecError: it cannot be unpacked.
    """
    files = await _fetched(downloads)
    box = (
        _first(seed)
        .with_env_variable(STAGE, stage)
        .with_env_variable("BASE", "1" if alone else "0")
        .with_env_variable("PRUNE", "1" if prune else "0")
        .with_mounted_directory("/debs", dag.directory().with_files("/", files))
    )
    if user:
        box = box.with_env_variable("USER_NAME", user).with_env_variable("USER_ID", str(uid))
    return await box.with_exec(["sh", "/unpack.sh"]).directory("/out").sync()


async def _fetched(downloads: tuple[Download, ...]) -> list[dagger.File]:
    """The packages' files, in their order."""
    files: list[dagger.File | None] = [None] * len(downloads)
    places = anyio.CapacityLimiter(_AT_ONCE)

    async def fetch(number: int, wanted: Download) -> None:
        async with places:
            files[number] = await _first_that_answers(wanted)

    async with anyio.create_task_group() as group:
        for number, wanted in enumerate(downloads):
            group.start_soon(fetch, number, wanted)
    return [file for file in files if file is not None]


async def _first_that_answers(wanted: Download) -> dagger.File:
    problems = []
    for url in wanted.urls:
        try:
            return await dag.http(url, name=wanted.name, checksum=wanted.checksum).sync()
        except dagger.QueryError as error:
            problems.append(str(error))
    raise PipelineError(
        f"package {wanted.package} ({wanted.checksum}): {'; '.join(problems)}\n"
        "  If it is gone from the mirror: set DEBIAN_SNAPSHOT to a snapshot archive, or renew the locks with make lock. "
        "If its checksum differs: the mirror or the lock was changed, and nothing of it is used. "
        "Else: check the network and DEBIAN_MIRROR."
    )


def builder(tree: dagger.Directory, stage: str) -> dagger.Container:
    """A container to build in, on a root of this module."""
    return (
        dag.container()
        .with_rootfs(tree)
        .with_env_variable("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .with_env_variable("HOME", "/root")
        .with_env_variable("LC_ALL", "C.UTF-8")
        .with_env_variable("TZ", "UTC")
        .with_env_variable("PYTHONHASHSEED", "0")
        .with_env_variable("PYTHONDONTWRITEBYTECODE", "1")
        .with_env_variable(STAGE, stage)
    )


def compiled_like(
    base: dagger.Directory, tree: dagger.Directory, folder: str, known: dagger.Directory, stage: str
) -> dagger.Directory:
    """A tree with a folder of it byte-compiled, as one for another platform was that is ``known``."""
    return (
        builder(base, stage)
        .with_directory("/out", tree)
        .with_mounted_directory("/known", known)
        .with_new_file("/compile_tree.py", text_of("compile_tree.py"))
        .with_exec(script(f"python3 /compile_tree.py /out {folder.strip('/')} /known"))
        .directory("/out")
    )


def script(*lines: str) -> list[str]:
    """A step of shell lines that stops at the first that fails."""
    return ["sh", "-euc", "umask 022\n" + "\n".join(lines)]
