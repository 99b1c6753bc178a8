"""Dependencies: hashed requirements as one tree, byte-compiled with hash-based files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import dagger
from dagger import dag

from pipelines.network import ENTER, Network
from pipelines.stages.bases import builder, compiled_like, script
from pipelines.stages.runtime import PACK, TREE

PACKAGES = "/usr/local/lib/python3.13/dist-packages"
INSTALL = (
    "python3 -m pip install --disable-pip-version-check --root-user-action=ignore "
    "--no-warn-script-location --no-deps --no-compile --only-binary=:all: --require-hashes"
)
#: pip's own account of the archives that it took, and what of it says nothing of this machine or its index.
REPORT = "/tmp/pip.json"
_ARCHIVES = (
    "import json, sys; items = json.load(open(sys.argv[1]))['install']; "
    "found = [dict(name=i['metadata']['name'], version=i['metadata']['version'], "
    "file=i['download_info']['url'].split('#')[0].rpartition('/')[2], "
    "sha256=i['download_info']['archive_info']['hashes']['sha256']) for i in items]; "
    "json.dump(sorted(found, key=lambda f: f['name'].lower()), open(sys.argv[2], 'w'), indent=1)"
)
ARCHIVES = "archives.json"


def settled(root: str) -> str:
    """The shell line that moves scripts to where programs are looked for, in a tree at ``root``."""
    return (
        f"if [ -d {root}{PACKAGES}/bin ]; then mkdir -p {root}/usr/local/bin && mv {root}{PACKAGES}/bin/* "
        f"{root}/usr/local/bin/ && rmdir {root}{PACKAGES}/bin; fi"
    )


def _install(options: str) -> str:
    """The shell line that installs the requirements; a page of an index that did not come reads to pip as "no such version"."""
    words = f"{INSTALL} {options} -r /in/requirements.txt"
    return f"{words} || {{ sleep 5; {words}; }}"


def _archives(target: str) -> str:
    """The shell line that writes which archives were installed, with their digests."""
    return f"mkdir -p {target} && python3 -c {shlex.quote(_ARCHIVES)} {REPORT} {target}/{ARCHIVES} && rm {REPORT}"


def fetched(box: dagger.Container, requirements: dagger.File, network: Network) -> dagger.Directory:
    """Programs of hashed requirements for a stage's own use: modules at the root, scripts in ``bin``, and ``archives.json``."""
    return (
        network.given(box)
        .with_mounted_file("/in/requirements.txt", requirements)
        .with_mounted_cache("/root/.cache/pip", dag.cache_volume("pip"))
        .with_exec(script(ENTER, _install(f"--report {REPORT} --target /out"), _archives("/out")))
        .directory("/out")
    )


def compiled(folder: str, root: str = "/out") -> str:
    """The shell line that byte-compiles a tree which will stand at the root: the same bytes on any machine."""
    return f"python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -s {root} -p / {root}{folder}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Requirements for an image; ``tags`` are the platform tags of its wheels, the best first, or none for those of the
    machine that builds."""

    requirements: dagger.File
    tags: tuple[str, ...] = ()
    stage: str = "dependencies"

    @property
    def words(self) -> str:
        """What pip has to be told of a platform: wheels are archives, so that one for another is unpacked like any other."""
        return "".join(f" --platform {tag}" for tag in self.tags)


async def dependencies(
    base: dagger.Directory,
    wanted: Wanted,
    network: Network,
    known: dagger.Directory | None = None,
    more: dagger.Directory | None = None,
) -> dagger.Directory:
    """The tree of the requirements, as it stands in an image from its root on; ``known`` is that of another platform, ``more`` a
    tree of further distributions, not byte-compiled.

    Raises:
        dagger.ExecError: a requirement cannot be had, or is not the one whose hash is locked.
    """
    tree = _installed(base, wanted, network, known is None).directory("/out")
    if more:
        tree = tree.with_directory("/", more)
    if known or more:
        tree = compiled_like(base, tree, PACKAGES, known or dag.directory(), wanted.stage)
    return await tree.sync()


def archives(base: dagger.Directory, wanted: Wanted, network: Network, compiling: bool = True) -> dagger.File:
    """The archives that :func:`dependencies` installed: a JSON list of ``{name, version, file, sha256}``."""
    return _installed(base, wanted, network, compiling).file(f"/archives/{ARCHIVES}")


def _installed(base: dagger.Directory, wanted: Wanted, network: Network, compiling: bool) -> dagger.Container:
    box = network.given(builder(base, wanted.stage)).with_mounted_file("/in/requirements.txt", wanted.requirements)
    return box.with_mounted_cache("/root/.cache/pip", dag.cache_volume("pip")).with_exec(
        script(
            ENTER,
            _install(f"{wanted.words} --report {REPORT} --target /out{PACKAGES}"),
            settled("/out"),
            *([compiled(PACKAGES)] if compiling else []),
            _archives("/archives"),
        )
    )


def layered(box: dagger.Container, requirements: str, network: Network) -> dagger.Directory:
    """Hashed requirements as a layer (`runtime.layer`), with ``archives.json`` beside it; ``box`` is a `runtime.packer`.

    Wheels of gigabytes are downloaded, unpacked and packed in one step that keeps nothing but the layer; pip's cache, which
    would hold them a second time, is left out.
    """
    return (
        network.given(box)
        .with_new_file("/in/requirements.txt", requirements)
        .with_exec(
            script(
                ENTER,
                _install(f"--no-cache-dir --report {REPORT} --target {TREE}{PACKAGES}"),
                settled(TREE),
                compiled(PACKAGES, TREE),
                PACK,
                _archives("/out"),
                f"rm -rf {TREE}",
            )
        )
        .directory("/out")
    )
