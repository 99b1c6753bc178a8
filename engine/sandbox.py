"""One step in bubblewrap: a root and mounts as overlays, no new privileges, nothing of the host but what is given.

The environment and every path go to bubblewrap through a descriptor, so no secret stands in a process list.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import EngineError
from engine.tools import Tools
from engine.userns import namespace, owns_users

#: What a build needs of root: owners and modes, users, low ports, chroot. (capabilities(7))
CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETUID",
    "SYS_CHROOT",
)
_ENGINE_DIR = "/.engine"


@dataclass(frozen=True, slots=True)
class Overlay:
    """Folders, top first, at a place; with ``upper`` and ``work`` it can be written."""

    at: str
    lower: tuple[Path, ...]
    upper: Path | None = None
    work: Path | None = None


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of the host at a place."""

    at: str
    source: Path
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Temporary:
    """An empty folder in memory at a place; ``size`` in bytes."""

    at: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes as a read-only file in memory at a place."""

    at: str
    content: bytes
    mode: int = 0o400


Mount = Overlay | Bind | Temporary | Data


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and in what."""

    args: Sequence[str]
    environment: dict[str, str]
    workdir: str
    mounts: Sequence[Mount]
    uid: int = 0
    gid: int = 0
    groups: Sequence[int] = ()
    stdin: bytes = b""
    network: bool = True
    extra: Sequence[str] = field(default=())
    capabilities: Sequence[str] = CAPABILITIES


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. ``exit_code`` is None where the program could not even be started."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes


def _mount_words(mounts: Sequence[Mount], descriptors: list[int]) -> list[str]:
    words: list[str] = []
    for mount in mounts:
        match mount:
            case Overlay(at, lower, upper, work):
                for folder in reversed(lower):
                    words += ["--overlay-src", str(folder)]
                if upper is not None and work is not None:
                    words += ["--overlay", str(upper), str(work), at]
                else:
                    words += ["--ro-overlay", at] if len(lower) > 1 else []
                    if len(lower) == 1:
                        words[-2:] = ["--ro-bind", str(lower[0]), at]
            case Bind(at, source, read_only):
                words += ["--ro-bind" if read_only else "--bind", str(source), at]
            case Temporary(at, size):
                words += ["--perms", "1777", *(["--size", str(size)] if size else []), "--tmpfs", at]
            case Data(at, content, mode):
                descriptor = os.memfd_create("data")
                os.write(descriptor, content)
                os.lseek(descriptor, 0, os.SEEK_SET)
                descriptors.append(descriptor)
                words += ["--perms", f"{mode:o}", "--ro-bind-data", str(descriptor), at]
    return words


def words_of(tools: Tools, command: Command, descriptors: list[int], status: int) -> list[str]:
    """The whole command line; ``descriptors`` receives those that the child must inherit."""
    options = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent"]
    options += ["--new-session", "--cap-drop", "ALL"]
    if not command.network:
        options.append("--unshare-net")
    needed = ("SETUID", "SETGID") if (command.uid, command.gid) != (0, 0) else ()
    for capability in {**dict.fromkeys(command.capabilities), **dict.fromkeys(needed)}:
        options += ["--cap-add", f"CAP_{capability}"]
    switch: list[str] = []
    mounts = list(command.mounts)
    if owns_users():
        descriptors.append(namespace())
        options += ["--userns", str(namespace())]
        if (command.uid, command.gid) != (0, 0):
            mounts.append(Bind(_ENGINE_DIR, tools.root, read_only=True))
            switch = [*tools.program("setpriv", Path(_ENGINE_DIR)), "--reuid", str(command.uid)]
            switch += ["--regid", str(command.gid)]
            switch += ["--groups", ",".join(map(str, command.groups))] if command.groups else ["--clear-groups"]
            switch.append("--")
    else:
        options += ["--unshare-user", "--uid", str(command.uid), "--gid", str(command.gid)]
    words = [*options, *_mount_words(mounts, descriptors)]
    words += ["--clearenv"]
    for name, value in command.environment.items():
        words += ["--setenv", name, value]
    words += ["--chdir", command.workdir, *command.extra, "--json-status-fd", str(status)]
    if any("\0" in word for word in (*words, *command.args)):
        raise EngineError("a path, variable or argument of a step has a NUL character in it, which none can have")
    args = os.memfd_create("args")
    os.write(args, b"\0".join(word.encode("utf-8", "surrogateescape") for word in words) + b"\0")
    os.lseek(args, 0, os.SEEK_SET)
    descriptors += [args, status]
    return [*tools.program("bwrap"), "--args", str(args), "--", *switch, *command.args]


async def run(
    tools: Tools,
    command: Command,
    on_output: Callable[[bytes], None] = lambda chunk: None,
    seconds: float | None = None,
) -> Outcome:
    """Run it to its end; if this is cancelled, it and all that it started is killed.

    Raises:
        EngineError: the sandbox could not be set up.
    """
    descriptors: list[int] = []
    status_read, status_write = os.pipe()
    try:
        words = words_of(tools, command, descriptors, status_write)
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE if command.stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            env={},
            start_new_session=True,
        )
    except OSError as error:
        os.close(status_read)
        raise EngineError(f"the sandbox could not be started: {error}") from None
    finally:
        for descriptor in descriptors:
            if descriptor != (namespace() if owns_users() else -1):
                os.close(descriptor)

    async def drain(stream: asyncio.StreamReader | None) -> bytes:
        out = []
        while stream is not None and (chunk := await stream.read(65536)):
            out.append(chunk)
            on_output(chunk)
        return b"".join(out)

    async def feed() -> None:
        if process.stdin is not None:
            with suppress(BrokenPipeError, ConnectionResetError):
                process.stdin.write(command.stdin)
                await process.stdin.drain()
            process.stdin.close()

    try:
        async with asyncio.timeout(seconds):
            stdout, stderr, _, _ = await asyncio.gather(
                drain(process.stdout), drain(process.stderr), feed(), process.wait()
            )
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()
        os.close(status_read)
        raise
    with os.fdopen(status_read, "rb") as file:
        status = _status(file.read())
    code = status.get("exit-code")
    if code is None and b"execvp" not in stderr:
        raise EngineError(f"the sandbox could not be set up: {stderr.decode(errors='replace').strip()}")
    if b"setpriv: failed to execute" in stderr and code in (126, 127):
        code = None
    return Outcome(code, stdout, stderr)


def _status(text: bytes) -> dict[str, int]:
    merged: dict[str, int] = {}
    for line in text.splitlines():
        with suppress(ValueError):
            merged.update(json.loads(line))
    return merged
