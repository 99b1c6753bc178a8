"""The process that a step is seen from outside as: started, held by descriptors, read through pipes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path


def memory(content: bytes) -> int:
    """A descriptor from which these bytes can be read."""
    descriptor = os.memfd_create("engine")
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def close_on_exec() -> None:
    """See to it that what whoever started this process left open goes to no step: bubblewrap would pass it on."""
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if number > 2:
                os.set_inheritable(number, False)


class Process:
    """bubblewrap and its pipes. A descriptor stands for it and for what is inside (pidfd_open(2)), so that no signal can
    reach another process of the same number.

    It is started without a copy of the engine (posix_spawn(3)): a fork of a program with threads may inherit a lock that
    nobody will ever release, and copies its page tables besides.
    """

    def __init__(self, words: Sequence[str], descriptors: Sequence[int], stdin: bytes) -> None:
        self.stdout, out = os.pipe()
        self.stderr, err = os.pipe()
        given = memory(stdin) if stdin else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._handles: list[int] = []
        self._code: int | None = None
        self._doomed = False
        # Duplicated onto itself, a descriptor is inherited by this child alone.
        inherited = [(given, 0), (out, 1), (err, 2), *((descriptor, descriptor) for descriptor in descriptors)]
        try:
            self._pid = os.posix_spawn(
                words[0],
                list(words),
                {},
                file_actions=[(os.POSIX_SPAWN_DUP2, old, new) for old, new in inherited],
                setsid=True,
                # `run` blocks signals to wait for them, and a mask survives execve(2).
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
            self._handles.append(os.pidfd_open(self._pid))
        except BaseException:
            os.close(self.stdout)
            os.close(self.stderr)
            raise
        finally:
            for descriptor in (given, out, err):
                os.close(descriptor)

    def first_inside(self) -> int:
        """The first process of its namespace, with which all others of that die, once bubblewrap has told that it is
        there; 0 where it has ended already. What bubblewrap calls it is its number on the lifeline, not here."""
        pid = self._pid
        try:
            while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                pid = int(children[0])
            self._handles.append(os.pidfd_open(pid))
        except OSError:
            return 0
        if self._doomed:
            self.kill()
        return pid

    def kill(self) -> None:
        """An end to it and to what is inside, as soon as that is known: alone, bubblewrap would leave behind what it is
        setting up, and as its own init and of another user that does not die with it."""
        self._doomed = True
        if len(self._handles) > 1:
            self._kill()

    def _kill(self) -> None:
        for handle in reversed(self._handles):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)

    def reap(self) -> int:
        """Its exit code, as ``subprocess`` has it; waits until it has ended, and sees to that where it was killed."""
        if self._code is None:
            if self._doomed:
                self._kill()
            try:
                self._code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            except ChildProcessError:  # Somebody ignores SIGCHLD, and the kernel told nobody.
                self._code = 0
            while self._handles:
                os.close(self._handles.pop())
        return self._code


async def chunks(descriptor: int) -> AsyncIterator[bytes]:
    """What comes through a pipe until its end, which is closed then."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        while chunk := await reader.read(65536):
            yield chunk
    finally:
        transport.close()
