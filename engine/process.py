"""The process that a step is seen from outside as: started in its network, held by descriptors, read through pipes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from engine.signals import unblock
from engine.userns import namespace, owns_users


def memory(content: bytes) -> int:
    """A descriptor from which these bytes can be read."""
    descriptor = os.memfd_create("engine")
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class Process:
    """bubblewrap and its pipes. A descriptor stands for it and for what is inside (pidfd_open(2)), so that no signal can
    reach another process of the same number."""

    def __init__(self, words: Sequence[str], descriptors: Sequence[int], stdin: bytes, network: int | None) -> None:
        self.stdout, out = os.pipe()
        self.stderr, err = os.pipe()
        given = memory(stdin) if stdin else subprocess.DEVNULL
        self._handles: list[int] = []
        try:
            self._started = subprocess.Popen(
                words,
                stdin=given,
                stdout=out,
                stderr=err,
                pass_fds=descriptors,
                env={},
                start_new_session=True,
                preexec_fn=_entering(network),
            )
            self._handles.append(os.pidfd_open(self._started.pid))
        except BaseException:
            os.close(self.stdout)
            os.close(self.stderr)
            raise
        finally:
            for descriptor in (given, out, err):
                if descriptor >= 0:
                    os.close(descriptor)

    def inside(self, pid: int) -> None:
        """Tell which is the first process of its namespace, with which all others of that die."""
        with suppress(ProcessLookupError):
            self._handles.append(os.pidfd_open(pid))

    def kill(self) -> None:
        """An end to it and to what is inside, which does not in each case die with it: see ``_words_of``."""
        for handle in reversed(self._handles):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)

    def reap(self) -> int:
        """Its exit code, as ``subprocess`` has it; waits until it has ended."""
        code = self._started.wait()
        while self._handles:
            os.close(self._handles.pop())
        return code


def _entering(network: int | None) -> Callable[[], None]:
    """What a child does before it becomes bubblewrap: it enters the network's namespace, and first, where the engine is
    no root that may do so from outside, the user namespace that owns it."""
    wanted = [] if network is None else [network] if owns_users() else [namespace(), network]
    setns = ctypes.CDLL(None, use_errno=True).setns

    def enter() -> None:
        unblock()
        for descriptor in wanted:
            if setns(descriptor, 0):
                raise OSError(ctypes.get_errno(), "a namespace cannot be entered")

    return enter


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
