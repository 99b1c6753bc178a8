"""Telling what goes on: on a terminal a live list of the stages, elsewhere a line a stage as it starts and ends."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

if TYPE_CHECKING:
    from engine.events import Event


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A stage that ended: its time, and how many steps ran and were remembered (None where the engine does not tell)."""

    name: str
    seconds: float
    ran: int | None
    remembered: int | None

    @property
    def cached(self) -> bool | None:
        """Whether nothing had to run; None where the engine does not tell."""
        return None if self.ran is None else self.ran == 0 and bool(self.remembered)


class View(Protocol):
    """Where progress is shown."""

    def started(self, stage: str) -> None: ...

    def doing(self, stage: str, what: str) -> None: ...

    def ended(self, mark: str, text: str, stage: str = "") -> None: ...

    def close(self) -> None: ...


_COLOURS = {"done": "green", "cached": "green", "failed": "red", "note": "yellow", "": "default"}


class Lines:
    """Plain lines, for a file or a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def _print(self, mark: str, text: str) -> None:
        with self._lock:
            print(f"{mark:>8}  {text}", file=self._stream, flush=True)

    def started(self, stage: str) -> None:
        self._print("start", stage)

    def doing(self, stage: str, what: str) -> None:
        """Lines tell of stages, not of their steps."""

    def ended(self, mark: str, text: str, stage: str = "") -> None:
        self._print(mark, text)

    def close(self) -> None:
        """Nothing is held."""


class Terminal:
    """The stages that run, each with its time and what it does now, below those that ended."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._running: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, get_renderable=self._picture, refresh_per_second=8, transient=True)
        self._live.start()

    def _picture(self) -> Any:
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=8, justify="right", no_wrap=True)
        table.add_column(width=16, no_wrap=True)
        table.add_column(width=8, justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
        with self._lock:
            rows = list(self._running.items())
        for stage, (since, what) in rows:
            table.add_row(
                Spinner("dots", style="cyan"), stage, f"{time.monotonic() - since:.1f} s", Text.from_ansi(what)
            )
        return table

    def started(self, stage: str) -> None:
        with self._lock:
            self._running[stage] = (time.monotonic(), "")

    def doing(self, stage: str, what: str) -> None:
        with self._lock:
            if stage in self._running:
                self._running[stage] = (self._running[stage][0], what)

    def ended(self, mark: str, text: str, stage: str = "") -> None:
        from rich.text import Text

        with self._lock:
            self._running.pop(stage, None)
        self._console.print(Text.assemble((f"{mark:>8}", _COLOURS.get(mark, "default")), "  ", text))

    def close(self) -> None:
        self._live.stop()


class Progress:
    """The progress of one build, to be entered while it goes on."""

    def __init__(self, stream: TextIO | None = None, knows_cache: bool = True) -> None:
        self._stream = stream or sys.stderr
        self._view: View = Lines(self._stream)
        self._steps: dict[str, dict[str, int]] = defaultdict(lambda: {"started": 0, "cached": 0})
        self.knows_cache = knows_cache
        self.records: list[StageRecord] = []

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._view = Terminal(self._stream)
        return self

    def __exit__(self, *_: object) -> None:
        self._view.close()
        self._view = Lines(self._stream)

    def note(self, text: str) -> None:
        """Something that the user should know of."""
        self._view.ended("note", text)

    def said(self, text: str) -> None:
        """A line that a stage's own program printed."""
        self._view.ended("", text)

    def on_event(self, event: Event) -> None:
        """What the embedded engine tells of its steps."""
        if event.kind in ("started", "cached"):
            self._steps[event.stage][event.kind] += 1
            self._view.doing(event.stage, event.name)
        elif event.kind == "warning":
            self.note(event.text)
        elif event.kind == "output" and (lines := event.text.strip().splitlines()):
            self._view.doing(event.stage, lines[-1].strip())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage while it runs. Its record is kept when it ends well."""
        began = time.monotonic()
        self._view.started(name)
        try:
            yield
        except BaseException as error:
            # Stages that are only stopped because another failed are not what went wrong.
            mark = "failed" if isinstance(error, Exception) else "stopped"
            self._view.ended(mark, f"{name} after {time.monotonic() - began:.1f} s", name)
            raise
        steps = self._steps[name]
        known = self.knows_cache and sum(steps.values()) > 0
        record = StageRecord(
            name,
            round(time.monotonic() - began, 2),
            steps["started"] if known else None,
            steps["cached"] if known else None,
        )
        self.records.append(record)
        self._view.ended("cached" if record.cached else "done", f"{name:16} {record.seconds:6.1f} s", name)
