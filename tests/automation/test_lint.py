"""The linters of workflows: zizmor as its strictest persona, and actionlint. ``make lint`` runs this file too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.parts.go import programs

HERE = Path(__file__).resolve().parents[2]


def test_zizmor_finds_nothing_as_its_strictest_persona() -> None:
    words = [
        Path(sys.executable).with_name("zizmor"),
        "--persona",
        "auditor",
        "--offline",
        "--strict-collection",
        "--no-ignores",
    ]
    done = subprocess.run([*words, HERE / ".github"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("completed") >= 7, done.stderr


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    shutil.copytree(HERE / ".github", tmp_path / ".github")
    # Its last release does not know that `$/` means the repository that a workflow is in (its issue 711).
    for path in (tmp_path / ".github").rglob("*.yml"):
        path.write_text(re.sub(r"uses: \$/", "uses: ./", path.read_text()))
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    program = programs("actionlint") / "actionlint"
    done = subprocess.run([program, "-no-color"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
