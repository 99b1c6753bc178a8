"""Roots out of locked Debian packages: downloaded with their checksums and unpacked in a step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagger
from dagger import dag

STAGE = "PIPELINES_STAGE"


@dataclass(frozen=True, slots=True)
class Download:
    """A package to fetch: a name to keep the order by, an address, ``sha256:…``."""

    name: str
    url: str
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
    """The tree of the packages. ``alone``: with accounts and the merged /usr, to be a root by itself."""
    files = [dag.http(d.url, name=d.name, checksum=d.checksum) for d in downloads]
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


def script(*lines: str) -> list[str]:
    """A step of shell lines that stops at the first that fails."""
    return ["sh", "-euc", "umask 022\n" + "\n".join(lines)]
