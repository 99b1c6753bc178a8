"""Fields of ``Container`` that run it: steps, what they said, and services."""

from __future__ import annotations

from typing import Any

from engine.api.objects import absolute, expanded, identify, refusing
from engine.errors import EngineError
from engine.graph import Container, Exec, Op, Service
from engine.session.execute import Context

NO_COMMAND = "no command has been set"


@refusing("experimentalPrivilegedNesting", "insecureRootCapabilities")
def with_exec(
    ctx: Context,
    box: Container,
    args: list[str],
    useEntrypoint: bool = False,
    stdin: str = "",
    redirectStdin: str = "",
    redirectStdout: str = "",
    redirectStderr: str = "",
    expect: str = "SUCCESS",
    expand: bool = False,
    noInit: bool = False,
) -> Container:
    if stdin and redirectStdin:
        raise EngineError("cannot set both stdin and redirectStdin")
    words = [expanded(box, a) for a in args] if expand else list(args or box.default_args)
    if useEntrypoint:
        words = [*box.entrypoint, *words]

    def place(path: str) -> str:
        return absolute(box, path, expand) if path else ""

    step = Exec(
        box.change(last=None),
        tuple(words),
        stdin,
        redirect_stdin=place(redirectStdin),
        redirect_stdout=place(redirectStdout),
        redirect_stderr=place(redirectStderr),
        expect=expect,
        no_init=noInit,
    )
    mounts = tuple(
        m.change(op=Op("step_mount", {"step": step, "at": m.at})) if m.op is not None and not m.read_only else m
        for m in box.mounts
    )
    return box.change(root=Op("step_root", {"step": step}), mounts=mounts, last=step, image_ref="")


async def _outcome(ctx: Context, box: Container) -> dict[str, Any]:
    if box.last is None:
        raise EngineError(NO_COMMAND)
    outcome: dict[str, Any] = await ctx.solver.step(box.last)
    return outcome


async def stdout(ctx: Context, box: Container) -> str:
    return str((await _outcome(ctx, box))["stdout"])


async def stderr(ctx: Context, box: Container) -> str:
    return str((await _outcome(ctx, box))["stderr"])


async def combined_output(ctx: Context, box: Container) -> str:
    return str((await _outcome(ctx, box))["combined"])


async def exit_code(ctx: Context, box: Container) -> int:
    return int((await _outcome(ctx, box))["exit"])


async def sync(ctx: Context, box: Container) -> str:
    await ctx.solver.solve(box.root)
    for mount in box.mounts:
        if mount.op is not None:
            await ctx.solver.solve(mount.op)
    return identify(ctx, "Container", box)


@refusing("experimentalPrivilegedNesting", "insecureRootCapabilities")
def as_service(
    ctx: Context,
    box: Container,
    args: list[str] | None = None,
    useEntrypoint: bool = False,
    expand: bool = False,
    noInit: bool = False,
) -> Service:
    if not args and not box.default_args and not box.entrypoint:
        raise EngineError(f"{NO_COMMAND}: a service needs args, default args or an entrypoint")
    words = [expanded(box, a) for a in args or ()] if expand else list(args or ())
    entered = useEntrypoint or (not words and not box.default_args_set)
    words = [*(box.entrypoint if entered else ()), *(words or box.default_args)]
    return Service("container", box.change(last=None), tuple(words), box.ports)


def with_error(ctx: Context, box: Container, err: str) -> Container:
    return box.change(root=Op("error", {"message": err}, (box.root,))) if err else box


FIELDS: dict[str, Any] = {
    "asService": as_service,
    "combinedOutput": combined_output,
    "exitCode": exit_code,
    "stderr": stderr,
    "stdout": stdout,
    "sync": sync,
    "withError": with_error,
    "withExec": with_exec,
}
