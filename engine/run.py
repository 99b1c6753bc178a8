"""``run``: a program on a Dagger SDK with a session of this engine in its environment, as ``dagger run`` does.

Signals are waited for, not handled, because a waited-for one tells where it came from: what a terminal sends to its
whole foreground group the program has already, what was sent to the engine alone is passed on.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress

from engine import serve
from engine.errors import EngineError
from engine.events import Event

_PASSED_ON = {
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCONT,
}
#: ``si_code`` of a signal that the kernel sent, as it does for keys of a terminal (sigaction(2)).
_FROM_KERNEL = 0x80
_PR_SET_PDEATHSIG = 1
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_COLOURS = {"started": "\x1b[2m", "cached": "\x1b[2m", "finished": "\x1b[32m", "failed": "\x1b[31m"}


def run(words: list[str], show: str = "steps") -> int:
    """The exit code of a command that was run in a session; 128 + n where signal n ended it, as a shell has it.

    ``show`` is nothing, steps or output.

    Raises:
        EngineError: no command, or no session.
    """
    if not words:
        raise EngineError("run needs a command: python -m engine run -- python pipelines/build.py")
    waited_for = {*_PASSED_ON, signal.SIGCHLD}
    # Where whoever started the engine ignored it, the kernel would reap the program and tell nobody (wait(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    try:
        session = serve(_Progress(show))
        # The program starts beside the session: both have imports to do, and its first request waits at the socket.
        environment = {**os.environ, **session.environment}

        def in_child() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            # Without its session it would ask on for a while.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

        try:
            # No thread runs yet, so that a fork is safe.
            child = subprocess.Popen(words, env=environment, close_fds=False, preexec_fn=in_child)
        except OSError as error:
            session.close()
            print(f"engine: {words[0]}: {error.strerror}", file=sys.stderr)
            return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
        try:
            with session:
                return _ended(child.pid, waited_for)
        except EngineError:
            child.terminate()
            raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended(child: int, waited_for: set[signal.Signals]) -> int:
    while True:
        told = signal.sigwaitinfo(waited_for)
        if told.si_signo != signal.SIGCHLD:
            if told.si_code != _FROM_KERNEL:
                with suppress(ProcessLookupError):
                    os.kill(child, told.si_signo)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


class _Progress:
    """Events as lines on standard error; colours on a terminal only (and not where NO_COLOR is set)."""

    def __init__(self, show: str) -> None:
        self._show = show
        self._coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")

    def __call__(self, event: Event) -> None:
        if event.kind == "warning":
            print(f"engine: {event.text}", file=sys.stderr, flush=True)
            return
        if self._show == "nothing" or (event.kind == "output" and self._show != "output"):
            return
        if event.kind == "output":
            lines = [f"    {line}" for line in event.text.splitlines()]
        else:
            took = f"  {event.seconds:.1f} s" if event.kind in ("finished", "failed") else ""
            stage = f"[{event.stage}] " if event.stage else ""
            lines = [f"  {event.kind:8} {stage}{event.name}{took}"]
        colour = _COLOURS.get(event.kind, "") if self._coloured else ""
        with suppress(OSError):
            sys.stderr.write("".join(f"{colour}{line}{colour and chr(27) + '[0m'}\n" for line in lines))
            sys.stderr.flush()
