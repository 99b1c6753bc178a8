"""Programs of Go modules, whose sums stand in a ``go.sum`` beside: built once a machine and kept.

The Go on PATH builds them if it is new enough, and else one of a locked wheel.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.parts.kept import kept, tried, wheels

HERE = Path(__file__).parent
_NEEDED = (1, 26)


@cache
def _go() -> str:
    if found := shutil.which("go"):
        told = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
        if (version := re.match(r"go(\d+)\.(\d+)", told)) and (int(version[1]), int(version[2])) >= _NEEDED:
            return found
    return str(wheels("go") / "go/bin/go")


def on_path() -> dict[str, str]:
    """The environment, with Go on its PATH: some programs of Go ask for it as they start."""
    return {**os.environ, "PATH": f"{Path(_go()).parent}{os.pathsep}{os.environ['PATH']}"}


def programs(name: str, what: str = "tool", only_if: str = "") -> Path:
    """The folder of the programs of the module ``tests/parts/NAME``: its tools, or its own package ``.``.

    Skips the test where there is neither Go nor a wheel of it, or a module cannot be had; or where they are not there
    yet and the variable ``only_if`` is not set: some take minutes.
    """

    def make(folder: Path) -> None:
        if only_if and not os.environ.get(only_if):
            pytest.skip(f"the programs of tests/parts/{name} take minutes to build; make test-keyless does it, once")
        # A toolchain that a module asked for would come by itself, and no lock tells of that one.
        settings = {"GOFLAGS": "-trimpath -buildvcs=false -mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        words = [_go(), "build", "-o", f"{folder}/", what]
        done = tried(words, cwd=source, env={**os.environ, **settings, "CGO_ENABLED": "0"})
        if done.returncode:
            pytest.skip(f"go build in tests/parts/{name} failed: {done.stderr.strip()[-300:]}")

    source = HERE / name
    return kept(name, sorted(each for each in source.iterdir() if each.suffix in (".go", ".mod", ".sum")), make)
