"""``make dev``: the service comes up on this host, and comes up again when its code changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.parts.registries import free_port

HERE = Path(__file__).resolve().parents[2]


def version(port: int, wanted: str) -> None:
    """Returns when the service says that it is of a version."""
    deadline, said = time.monotonic() + 60, ""
    while said != wanted:
        assert time.monotonic() < deadline, f"said {said!r}"
        time.sleep(0.2)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                said = json.loads(answer.read())["version"]
        except OSError:
            continue


def test_an_edit_is_served_without_a_command_and_an_interrupt_ends_all(tmp_path: Path) -> None:
    pytest.importorskip("cift_core", reason="the Rust core is not installed: run make build, then make test")
    ignored = shutil.ignore_patterns("__pycache__", "target", "secrets")
    for name in ("cift", "deploy", "rust_core"):
        shutil.copytree(HERE / name, tmp_path / name, ignore=ignored)
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "CIFT_DATA": str(tmp_path / "data")}
    words = [sys.executable, tmp_path / "deploy/develop.py"]
    with subprocess.Popen(words, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as service:
        try:
            version(port, "0.1.0")
            code = tmp_path / "cift/__init__.py"
            code.write_text(code.read_text().replace("0.1.0", "0.1.1"))
            version(port, "0.1.1")
        finally:
            service.send_signal(signal.SIGINT)
            _, told = service.communicate(timeout=30)
    assert service.returncode == 130
    assert "dev: changed: cift/__init__.py" in told
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
