"""Programs that run inside steps, in the step's own Python: standard library only, handed over as text."""

from __future__ import annotations

from pathlib import Path


def text_of(name: str) -> str:
    """The text of a program of this folder."""
    return (Path(__file__).parent / name).read_text()
