"""Pipeline as code: what is built is read from ``[tool.pipelines]`` of a project; nothing here names one."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
# As a command, not as a library of someone's own Python.
if sys.argv and Path(sys.argv[0]).resolve().parent == _HERE:
    from pipelines.interpreter import settle

    settle(_HERE.parent)
