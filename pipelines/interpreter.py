"""The Python that commands run on: the virtual environment's, whichever was typed.

Pages say ``python pipelines/release.py``, and not everybody has activated ``.venv``, which ``make`` has set up.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import TracebackType

_NEEDED = "dagger"


def settle(root: Path) -> None:
    """Go on in ``.venv`` where this Python lacks the packages; where there is none, say so instead of a traceback."""
    if importlib.util.find_spec(_NEEDED):
        return
    own = root / ".venv"
    python = own / "bin/python"
    if os.access(python, os.X_OK) and Path(sys.prefix) != own:
        os.execv(python, [str(python), *sys.orig_argv[1:]])
    # Some commands need no package: only the one that misses something stops.
    sys.excepthook = _told


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, ModuleNotFoundError):
        sys.__excepthook__(kind, error, trace)
        return
    name = Path(sys.argv[0]).stem
    print(
        f"{name}: {sys.executable} has no package {error.name!r}; make venv sets up one that has, in .venv",
        file=sys.stderr,
    )
