"""Dependencies: hashed requirements as one tree, byte-compiled with hash-based files."""

from __future__ import annotations

import shlex

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


def _archives(target: str) -> str:
    """The shell line that writes which archives were installed, with their digests."""
    return f"mkdir -p {target} && python3 -c {shlex.quote(_ARCHIVES)} {REPORT} {target}/{ARCHIVES} && rm {REPORT}"


def fetched(box: dagger.Container, requirements: dagger.File, network: Network) -> dagger.Directory:
    """Programs of hashed requirements for a stage's own use: modules at the root, scripts in ``bin``, and ``archives.json``."""
    return (
        network.given(box)
        .with_mounted_file("/in/requirements.txt", requirements)
        .with_mounted_cache("/root/.cache/pip", dag.cache_volume("pip"))
        .with_exec(
            script(ENTER, f"{INSTALL} --report {REPORT} --target /out -r /in/requirements.txt", _archives("/out"))
        )
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
    return await _installed(base, requirements, network).directory("/out").sync()


def archives(base: dagger.Directory, requirements: dagger.File, network: Network) -> dagger.File:
    """The archives that :func:`dependencies` installed: a JSON list of ``{name, version, file, sha256}``."""
    return _installed(base, requirements, network).file(f"/archives/{ARCHIVES}")


def _installed(base: dagger.Directory, requirements: dagger.File, network: Network) -> dagger.Container:
    box = network.given(builder(base, "dependencies")).with_mounted_file("/in/requirements.txt", requirements)
    return box.with_mounted_cache("/root/.cache/pip", dag.cache_volume("pip")).with_exec(
        script(
            ENTER,
            f"{INSTALL} --report {REPORT} --target /out{PACKAGES} -r /in/requirements.txt",
            SETTLE,
            compiled(PACKAGES),
            _archives("/archives"),
        )
    )
