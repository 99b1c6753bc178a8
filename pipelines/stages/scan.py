"""Scan: real Trivy over the source, for secrets and misconfiguration, without network once it is there."""

from __future__ import annotations

import dagger
from dagger import ReturnType

from pipelines.network import Network
from pipelines.stages.bases import builder, script
from pipelines.stages.dependencies import fetched

STAGE = "scan"


async def scan(
    base: dagger.Directory, source: dagger.Directory, requirements: dagger.File, network: Network
) -> dagger.Directory:
    """A directory with ``source.json``, Trivy's report.

    Raises:
        dagger.ExecError: Trivy cannot be had, or could not do its work.
    """
    box = builder(base, STAGE)
    trivy = fetched(box, requirements, network)
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
