"""Application builder: the project's own modules as a tree, byte-compiled."""

from __future__ import annotations

import dagger

from pipelines.stages.bases import builder, script

FOLDER = "/app"


async def application(base: dagger.Directory, source: dagger.Directory) -> dagger.Directory:
    """The application's tree from the image's root on.

    Raises:
        dagger.ExecError: a module does not compile.
    """
    done = (
        builder(base, "application")
        .with_directory(f"/out{FOLDER}", source)
        .with_exec(
            script(
                f"python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -s /out -p / /out{FOLDER}",
            )
        )
    )
    return await done.directory("/out").sync()
