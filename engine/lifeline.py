"""What all processes of this engine hang on: they end when it does, whatever ends it.

bubblewrap and its child ask the kernel to be killed with their parent only when they have set up the sandbox, and a program
that changes its user has that forgotten (prctl(2), PR_SET_PDEATHSIG). So all live in one process namespace, whose first
process ends at the end of a pipe that the engine alone holds, and the kernel ends all others with it (pid_namespaces(7)).
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from functools import lru_cache

from engine.tools import Tools
from engine.userns import namespace

#: Says when it is there, reaps whatever loses its parent, and lives until its input ends.
_FIRST = 'trap "" CHLD; echo; exec "$0" cat'


@dataclass(frozen=True, slots=True)
class Lifeline:
    """Descriptors of the process namespace and of mounts that have its ``/proc``; none where a ``/proc`` of one's own is
    forbidden, for the ``reason`` that the kernel gave: steps then share the machine's, and what they can see of it."""

    processes: int | None
    mounts: int | None
    reason: str = ""


@lru_cache(maxsize=1)
def held(tools: Tools) -> Lifeline:
    """The one of this process.

    Raises:
        EngineError: the kernel or its policy forbids user namespaces.
    """
    end, _ours = os.pipe()  # Nobody closes ours: the kernel does, at the end.
    said, say = os.pipe()
    words = [*tools.program("nsenter"), f"--user=/proc/{os.getpid()}/fd/{namespace()}", "--preserve-credentials", "--"]
    words += [*tools.program("unshare"), "--pid", "--fork", "--mount-proc", "--propagation", "slave", "--"]
    busybox = str(tools.root / "usr/bin/busybox")
    try:
        pid = os.posix_spawn(
            words[0],
            [*words, busybox, "sh", "-c", _FIRST, busybox],
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, old, new) for old, new in ((end, 0), (say, 1), (say, 2))],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE,),
        )
    finally:
        os.close(end)
        os.close(say)
    try:
        answer = os.read(said, 4096)
        if answer != b"\n":
            os.waitpid(pid, 0)
            return Lifeline(None, None, answer.decode(errors="replace").strip().rpartition("unshare: ")[2])
        kinds = ("pid_for_children", "mnt")
        processes, mounts = (os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds)
        return Lifeline(processes, mounts)
    finally:
        os.close(said)


def entered(tools: Tools, network: int | None = None) -> list[str]:
    """The words that begin a command in the user namespace and on the lifeline, perhaps in a network, too."""
    line = held(tools)
    words = [*tools.program("nsenter"), "--preserve-credentials"]
    for kind, descriptor in {"user": namespace(), "mount": line.mounts, "pid": line.processes, "net": network}.items():
        if descriptor is not None:
            # Not inherited: bubblewrap would pass it on to the step.
            words.append(f"--{kind}=/proc/{os.getpid()}/fd/{descriptor}")
    return [*words, "--"]
