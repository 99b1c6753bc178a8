"""What a session tells of its work while it runs."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One moment of one step.

    ``kind`` is started, finished, cached, failed, output or warning (which ``text`` then is); ``stage`` is the value of ``PIPELINES_STAGE`` in the
    step's environment (empty without one); ``seconds`` is the time that a finished or failed step took.
    """

    kind: str
    stage: str
    name: str
    seconds: float = 0.0
    text: str = ""
