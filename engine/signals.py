"""Signals of programs that the engine starts."""

from __future__ import annotations

import signal


def unblock() -> None:
    """To be called in a child before it executes: it would inherit that ``run`` blocks signals to wait for them, and a
    program that is deaf to SIGTERM cannot be stopped by ``kill`` and ``timeout`` (signal masks survive execve(2))."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
