"""One step in bubblewrap: a root and mounts as overlays, no new privileges, nothing of the host but what is given.

Every step has its own process, IPC, host name, mount and cgroup namespaces inside a user namespace, the few
capabilities a build needs, a filter of system calls, and limits. The environment and every path go to bubblewrap
through a descriptor, so no secret stands in a process list.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine import lifeline, seccomp
from engine.errors import EngineError
from engine.limits import MOST_OUTPUT, SECONDS, Limits, impose, watch
from engine.process import Process, chunks, memory
from engine.tools import Tools
from engine.userns import FORBIDDEN, below, owns_users

#: What a build needs of root (capabilities(7)): owners and modes, users, signals, low ports, chroot. Not MKNOD: a user
#: namespace makes no devices whoever asks; not SETFCAP: trees keep no extended attributes, so that a file capability
#: would be lost silently; not NET_RAW, SYS_PTRACE and SYS_ADMIN: no build needs them.
CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
    "SYS_CHROOT",
)
#: Of /proc, what tells of the machine or could change it is covered; of /sys, programs count processors and nodes.
_HIDDEN_FILES = (
    "/proc/sysrq-trigger",
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/latency_stats",
)
_HIDDEN_FOLDERS = ("/proc/acpi", "/proc/fs", "/proc/scsi")
_SHOWN = ("/sys/devices/system/cpu", "/sys/devices/system/node")
#: What bubblewrap says where the kernel, or AppArmor, does not let it have a namespace.
_FORBIDDEN = ("Creating new namespace failed", "No permissions to creat", "setting up uid map", "RTM_NEWADDR")
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
    #: A network namespace to be in instead of the machine's.
    namespace: int | None = None
    read_only: bool = False
    no_init: bool = False
    hostname: str = "dagger"
    capabilities: Sequence[str] = CAPABILITIES


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. ``exit_code`` is None where the program could not even be started; ``limit`` says in words which
    limit it was stopped for."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    limit: str = ""


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
                descriptor = memory(content)
                descriptors.append(descriptor)
                words += ["--perms", f"{mode:o}", "--ro-bind-data", str(descriptor), at]
    return words


def _system_words(memory: int, own_proc: bool) -> list[str]:
    """``/proc``, ``/dev`` and what is shown of ``/sys``."""
    # A root engine's steps have the machine's user 0 as theirs, to whom /proc/sys would be open: bubblewrap leaves it so.
    words = ["--proc", "/proc"] if own_proc else ["--bind", "/proc", "/proc"]
    words += ["--ro-bind", "/proc/sys", "/proc/sys"]
    for path in _HIDDEN_FILES:
        words += ["--ro-bind", "/dev/null", path] if os.path.exists(path) else []
    for path in _HIDDEN_FOLDERS:
        words += ["--tmpfs", path, "--remount-ro", path] if os.path.exists(path) else []
    words += ["--dev", "/dev", "--perms", "1777", *(("--size", str(memory)) if memory else ()), "--tmpfs", "/dev/shm"]
    words += ["--tmpfs", "/sys"]
    for path in _SHOWN:
        words += ["--ro-bind-try", path, path]
    return [*words, "--remount-ro", "/sys"]


def _words_of(
    tools: Tools, command: Command, descriptors: list[int], status: int, block: int, limits: Limits
) -> list[str]:
    """The whole command line; ``descriptors`` receives those that the child must inherit."""
    options = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent"]
    options += ["--new-session", "--cap-drop", "ALL", "--hostname", command.hostname]
    if not command.network:
        options.append("--unshare-net")
    switched = (command.uid, command.gid) != (0, 0) or bool(command.groups)
    needed = ("SETUID", "SETGID") if switched else ()
    for capability in {**dict.fromkeys(command.capabilities), **dict.fromkeys(needed)}:
        options += ["--cap-add", f"CAP_{capability}"]
    switch: list[str] = []
    mounts = list(command.mounts)
    # bubblewrap empties the bounding set only where it enters a user namespace itself.
    if owns_users():
        descriptors.append(os.dup(below()))
        options += ["--userns", str(descriptors[-1])]
        if switched:
            mounts.append(Bind(_ENGINE_DIR, tools.root, read_only=True))
            switch = [*tools.program("setpriv", Path(_ENGINE_DIR)), "--reuid", str(command.uid)]
            switch += ["--regid", str(command.gid)]
            switch += ["--groups", ",".join(map(str, command.groups))] if command.groups else ["--clear-groups"]
            switch.append("--")
    else:
        options += ["--unshare-user", "--uid", str(command.uid), "--gid", str(command.gid)]
    words = [*options, *_mount_words(mounts, descriptors)]
    words += ["--clearenv"]
    for variable in command.environment.items():
        name, _, value = "=".join(variable).partition("=")  # A name may hold a "=".
        words += ["--setenv", name, value]
    words += [
        *_system_words(limits.memory, lifeline.held(tools).processes is not None),
        *(("--remount-ro", "/") if command.read_only else ()),
    ]
    words += ["--chdir", command.workdir, *(("--as-pid-1",) if command.no_init else ())]
    words += ["--json-status-fd", str(status), "--block-fd", str(block)]
    if (rules := seccomp.program()) is not None:
        descriptors.append(memory(rules))
        words += ["--seccomp", str(descriptors[-1])]
    if any("\0" in word for word in (*words, *command.args)):
        raise EngineError("a path, variable or argument of a step has a NUL character in it, which none can have")
    args = memory(b"\0".join(word.encode("utf-8", "surrogateescape") for word in words) + b"\0")
    descriptors += [args, status, block]
    entered = lifeline.entered(tools, command.namespace)
    return [*entered, *tools.program("bwrap"), "--args", str(args), "--", *switch, *command.args]


async def run(
    tools: Tools,
    command: Command,
    limits: Limits,
    on_output: Callable[[bytes], None] = lambda chunk: None,
) -> Outcome:
    """Run it to its end or to a limit; if this is cancelled, it and all that it started is killed.

    Raises:
        EngineError: the sandbox could not be set up.
    """
    descriptors: list[int] = []
    status_read, status_write = os.pipe()
    block_read, block_write = os.pipe()
    try:
        words = _words_of(tools, command, descriptors, status_write, block_read, limits)
        process = Process(words, descriptors, command.stdin)
    except BaseException as error:
        # An open end of the gate would keep a sandbox that waits at it for as long as the engine lives.
        os.close(status_read)
        os.close(block_write)
        if isinstance(error, OSError):
            raise EngineError(f"the sandbox could not be started: {error}") from None
        raise
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    work = asyncio.ensure_future(_attend(process, command, limits, status_read, block_write, on_output))
    try:
        return await asyncio.shield(work)
    except BaseException:
        process.kill()
        with suppress(Exception, asyncio.CancelledError):
            await work
        raise
    finally:
        # A session that ends may have cancelled the wait for its end, too.
        process.kill()
        process.reap()


def _overlay_refused(command: Command, reason: str) -> str:
    """Why there is no overlay: mostly, because its upper folder lies on another, as all does in a container's own root."""
    upper = next(mount.upper for mount in command.mounts if isinstance(mount, Overlay) and mount.upper is not None)
    device = os.stat(upper).st_dev
    with open("/proc/self/mountinfo") as file:
        rows = [line.split() for line in file]
    kinds = [row[row.index("-") + 1] for row in rows if row[2] == f"{os.major(device)}:{os.minor(device)}"]
    return (
        f"no overlay can be made in the engine's store, which lies on {kinds[-1] if kinds else 'an unknown file system'}: "
        "set XDG_CACHE_HOME to a folder on a disk's own file system or a tmpfs (in a container: on a volume); "
        f"the kernel said: {reason.rpartition(': ')[2]}"
    )


async def _attend(
    process: Process,
    command: Command,
    limits: Limits,
    status_read: int,
    block_write: int,
    on_output: Callable[[bytes], None],
) -> Outcome:
    said, over = 0, ""
    status: dict[str, int] = {}

    def stop(reason: str) -> None:
        nonlocal over
        over = over or reason
        process.kill()

    async def drain(descriptor: int) -> bytes:
        nonlocal said
        out = []
        async for chunk in chunks(descriptor):
            said += len(chunk)
            if said > MOST_OUTPUT:
                stop(f"it wrote more than {MOST_OUTPUT >> 20} MiB of output, the most that is kept")
                continue
            out.append(chunk)
            on_output(chunk)
        return b"".join(out)

    async def watched(pid: int) -> None:
        stop(await watch(pid, limits))

    async def report() -> None:
        """What bubblewrap says: the pid of the sandbox, which may begin when its limits are set, and its exit code."""
        watcher: asyncio.Task[None] | None = None
        text = b""
        try:
            async for chunk in chunks(status_read):
                *lines, text = (text + chunk).split(b"\n")
                for line in lines:
                    with suppress(ValueError):
                        status.update(json.loads(line))
                if watcher is None and "child-pid" in status and (inside := process.first_inside()):
                    impose(inside, limits)
                    with suppress(BrokenPipeError):
                        os.write(block_write, b"1")
                    watcher = asyncio.ensure_future(watched(inside))
        finally:
            os.close(block_write)
            if watcher is not None:
                watcher.cancel()

    ends = asyncio.gather(drain(process.stdout), drain(process.stderr), report())
    if limits.seconds:
        timer = asyncio.get_running_loop().call_later(
            limits.seconds, stop, f"it ran longer than {limits.seconds:g} s, its limit ({SECONDS})"
        )
        ends.add_done_callback(lambda _: timer.cancel())
    stdout, stderr, _ = await ends
    ended = process.reap()
    code = status.get("exit-code")
    if over:
        return Outcome(137, stdout, stderr, over)
    if code is None and "child-pid" in status and ended < 0:
        return Outcome(137, stdout, stderr, "it was killed from outside, by the kernel if memory ran out")
    if code is None and b"execvp" not in stderr:
        reason = stderr.decode(errors="replace").strip()
        if "overlay mount" in reason:
            raise EngineError(_overlay_refused(command, reason))
        raise EngineError(
            FORBIDDEN if any(f in reason for f in _FORBIDDEN) else f"the sandbox could not be set up: {reason}"
        )
    if b"setpriv: failed to execute" in stderr and code in (126, 127):
        code = None
    return Outcome(code, stdout, stderr)
