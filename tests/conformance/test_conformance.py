"""Our own cases, answered as a real Dagger 0.21.8 engine did (``compare.py`` says how they were recorded)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="without root a step has one user, and owners cannot be told apart")
def test_every_case_is_answered_as_dagger_answered_it(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    for name in ("bin", "etc", "tmp", "root", "proc", "dev", "sys", "run"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "bin/busybox").write_bytes(busybox.read_bytes())
    (root / "bin/busybox").chmod(0o755)
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\ncift:x:1000:1000::/tmp:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\ncift:x:1000:\n")
    # A step is remembered by content, not by times: with other times here, a diff with a remembered result would tell of them.
    for path in (root / "bin/busybox", root / "etc/passwd", root / "etc/group"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    words = [
        sys.executable,
        "-m",
        "engine",
        "run",
        "-q",
        "--",
        sys.executable,
        "tests/conformance/compare.py",
        str(root),
    ]
    done = subprocess.run(words, env=environment, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
