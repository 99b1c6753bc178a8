"""Which engine runs the pipeline: a session that is there, a Dagger at hand, or the embedded engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pipelines.errors import PipelineError

T = TypeVar("T")
#: Lines of a failed step's output that are shown.
_OUTPUT_LINES = 40
ENGINES = ("auto", "dagger", "embedded")


def choose(wanted: str) -> str:
    """``session``, ``dagger`` or ``embedded``."""
    if wanted == "auto":
        if os.environ.get("DAGGER_SESSION_PORT"):
            return "session"
        if os.environ.get("_EXPERIMENTAL_DAGGER_RUNNER_HOST") or shutil.which("dagger"):
            return "dagger"
        return "embedded"
    return wanted


@asynccontextmanager
async def session(engine: str, on_event: Callable[..., None]) -> AsyncIterator[str]:
    """A connected session of an engine; yields its version.

    Raises:
        PipelineError: the engine cannot be had.
    """
    import dagger
    from dagger import dag

    if engine == "embedded":
        from engine import serve
        from engine.errors import EngineError

        try:
            opened = serve(on_event)
            opened.__enter__()
        except EngineError as error:
            raise PipelineError(str(error)) from None
        before = {name: os.environ.get(name) for name in opened.environment}
        os.environ.update(opened.environment)
        try:
            async with dagger.connection():
                yield await dag.version()
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            opened.__exit__(None, None, None)
        return
    # The SDK takes the CLI on PATH only where it is told to, and else downloads one.
    if found := shutil.which("dagger"):
        os.environ.setdefault("_EXPERIMENTAL_DAGGER_CLI_BIN", found)
    try:
        async with dagger.connection():
            yield await dag.version()
    except (dagger.ClientConnectionError, dagger.ProvisionError) as error:
        raise PipelineError(f"no Dagger engine can be reached: {error}; --engine embedded needs none") from None


def run(work: Callable[[], Awaitable[T]]) -> T:
    """What the work returns; the first error of a group of them by itself, and Dagger's in this package's family."""
    import anyio
    import dagger

    try:
        return anyio.run(work)
    except BaseException as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, dagger.ExecError):
            words = " ".join(first.command)
            text = "\n".join((first.stdout + "\n" + first.stderr).strip().splitlines()[-_OUTPUT_LINES:])
            raise PipelineError(
                f"a step failed with exit code {first.exit_code}:\n{text}\n  in: {words[:200]}"
            ) from None
        if isinstance(first, dagger.DaggerError):
            raise PipelineError(str(first)) from None
        raise first from None
