"""The typed stubs beside the extension that was built: every name, signature and kind of class."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cift_core", reason="the Rust core is not installed: run make build, then make test")

#: What maturin makes around a module: the package that takes its names over, and the extension in it.
_PACKAGING = "cift_core.__all__\ncift_core.cift_core\n"


def test_the_stubs_say_what_the_extension_is(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text(_PACKAGING)
    words = [sys.executable, "-m", "mypy.stubtest", "cift_core", "--allowlist", str(allowed)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
