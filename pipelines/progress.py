"""Telling what goes on: a line a stage as it starts and ends, its output when it fails, a table at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from engine.events import Event

_KEPT = 40


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A stage that ended; ``cached`` is None where the engine does not tell."""

    name: str
    seconds: float
    cached: bool | None


class Progress:
    """The progress of one build. Colour only on a terminal."""

    def __init__(self, stream: TextIO | None = None, knows_cache: bool = True) -> None:
        self._stream = stream or sys.stderr
        self._colour = self._stream.isatty()
        self._lock = threading.Lock()
        self._ran: dict[str, int] = defaultdict(int)
        self._output: dict[str, list[str]] = defaultdict(list)
        self.knows_cache = knows_cache
        self.records: list[StageRecord] = []

    def _say(self, mark: str, text: str, colour: str) -> None:
        start, end = (f"\033[{colour}m", "\033[0m") if self._colour else ("", "")
        with self._lock:
            print(f"{start}{mark:>8}{end}  {text}", file=self._stream, flush=True)

    def note(self, text: str) -> None:
        self._say("note", text, "33")

    def on_event(self, event: Event) -> None:
        """What the embedded engine tells of its steps."""
        if event.kind in ("started", "failed"):
            self._ran[event.stage] += event.kind == "started"
        elif event.kind == "output":
            lines = self._output[event.stage]
            lines.append(event.text)
            del lines[:-400]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self._say("start", name, "36")
        try:
            yield
        except BaseException as error:
            if isinstance(error, Exception):
                self._say("failed", f"{name} after {time.monotonic() - began:.1f} s", "31")
            raise
        cached = self._ran[name] == 0 if self.knows_cache else None
        record = StageRecord(name, round(time.monotonic() - began, 2), cached)
        self.records.append(record)
        self._say("cached" if cached else "done", f"{name}  {record.seconds:.1f} s", "32")

    def output_of(self, stage: str) -> str:
        """The last lines that a stage's steps printed."""
        return "\n".join("".join(self._output.get(stage, [])).splitlines()[-_KEPT:])
