"""Scan: real Trivy over the source and each finished image. It has no secrets and, once its database is there, no network."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import dagger

from pipelines.network import ENTER, Network
from pipelines.stages.bases import builder, script
from pipelines.stages.dependencies import fetched

STAGE = "scan"
DATABASE, METADATA = "trivy.db", "metadata.json"
#: Of everything that Trivy might look up or send somewhere, nothing.
_ALONE = (
    "--skip-db-update --skip-java-db-update --skip-check-update --skip-vex-repo-update --offline-scan "
    "--skip-version-check --disable-telemetry"
)
_WITHOUT_DATABASE = "secret,misconfig,license"


@dataclass(frozen=True, slots=True)
class Scanner:
    """A root with Python, and Trivy; ``database`` is a directory with its vulnerability database, if there is one."""

    base: dagger.Directory
    trivy: dagger.Directory
    database: dagger.Directory | None = None


async def scanner(base: dagger.Directory, requirements: dagger.File, network: Network) -> Scanner:
    """Trivy, out of locked wheels.

    Raises:
        dagger.ExecError: it cannot be had, or is not the one whose hash is locked.
    """
    return Scanner(base, await fetched(builder(base, STAGE), requirements, network).sync())


async def downloaded(given: Scanner, network: Network, repository: str, window: str) -> dagger.Directory:
    """The database from a registry, in Trivy's form: Trivy's own, or the repositories (by comma) that are given.

    Within one ``window``, a text, a database that was downloaded is not asked for again; a failure is not remembered.

    Raises:
        dagger.ExecError: it cannot be had.
    """
    named = f"--db-repository {shlex.quote(repository)} " if repository else ""
    box = network.given(builder(given.base, STAGE)).with_env_variable("WINDOW", window)
    done = (
        network.registries(box)
        .with_mounted_directory("/trivy", given.trivy)
        .with_exec(
            script(
                ENTER,
                f"/trivy/bin/trivy image --quiet --download-db-only --cache-dir /cache {named}--disable-telemetry",
            )
        )
    )
    return await done.directory("/cache/db").sync()


async def digest(given: Scanner) -> str:
    """``sha256:…`` of the database."""
    assert given.database is not None
    box = builder(given.base, STAGE).with_mounted_directory("/db", given.database)
    said = await box.with_exec(script(f"sha256sum /db/{DATABASE}")).stdout()
    return f"sha256:{said.split()[0]}"


async def source(given: Scanner, tree: dagger.Directory, requirements: tuple[str, ...]) -> dagger.Directory:
    """``report.json`` and ``report.sarif`` of a source; ``requirements`` are the files of that kind, by any name.

    Raises:
        dagger.ExecError: Trivy could not do its work.
    """
    patterns = " ".join(f"--file-patterns {shlex.quote('pip:' + _literal(name))}" for name in requirements)
    return await _scanned(given, f"fs {patterns}", tree, "/src", "/src")


async def image(given: Scanner, layout: dagger.Directory) -> dagger.Directory:
    """The same of an image, from its layout."""
    return await _scanned(given, "image --image-config-scanners misconfig,secret", layout, "/image", "--input /image")


def _literal(name: str) -> str:
    return "^" + "".join(each if each.isalnum() or each in "/_-" else f"[{each}]" for each in name) + "$"


async def _scanned(given: Scanner, kind: str, tree: dagger.Directory, place: str, where: str) -> dagger.Directory:
    # The embedded engine takes the network away; on others it is Trivy that is told not to use it.
    box = builder(given.base, STAGE).with_env_variable("PIPELINES_NETWORK", "none")
    scanners = _WITHOUT_DATABASE
    if given.database is not None:
        box = box.with_mounted_directory("/cache/db", given.database)
        scanners += ",vuln"
    done = (
        box.with_mounted_directory("/trivy", given.trivy)
        .with_mounted_directory(place, tree)
        .with_exec(
            script(
                "mkdir -p /out",
                f"/trivy/bin/trivy {kind} --quiet --cache-dir /cache --scanners {scanners} {_ALONE} "
                f"--list-all-pkgs --format json --output /out/report.json {where}",
                "/trivy/bin/trivy convert --quiet --format sarif --output /out/report.sarif /out/report.json",
            )
        )
    )
    return await done.directory("/out").sync()
