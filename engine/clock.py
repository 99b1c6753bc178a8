"""Another time of day for steps, which no build should notice: ``make reproduce`` asks for it.

The kernel has no namespace for the time of day (time_namespaces(7)), so libfaketime is loaded into each program of a
step that is linked dynamically.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import EngineError
from engine.sandbox import Bind
from engine.store import Store
from engine.tools import tools

#: Seconds by which the clock of steps is ahead.
AHEAD = "PIPELINES_STEP_CLOCK"
AT = "/.clock.so"
_LOCK = Path(__file__).parent.parent / "bases" / "clock.lock"


def ahead() -> int:
    """By how many seconds steps are ahead of the machine; 0 for the machine's own time.

    Raises:
        EngineError: the variable holds no number.
    """
    text = os.environ.get(AHEAD, "0")
    try:
        return int(text)
    except ValueError:
        raise EngineError(f"{AHEAD} must be a number of seconds, not {text!r}") from None


def moved(store: Store, seconds: int) -> tuple[Bind, dict[str, str]]:
    """The mount and the variables that move a step's clock."""
    library = next(tools(store, _LOCK).root.glob("usr/lib/*/faketime/libfaketime.so.1"))
    return Bind(AT, library, read_only=True), {
        "LD_PRELOAD": AT,
        "FAKETIME": f"{seconds:+d}",
        # Only the time of day is another: waits and time-outs go by the machine's own.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
