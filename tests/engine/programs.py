"""Programs on Dagger's SDK, as tests run them on the embedded engine, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, json, os, anyio, dagger
from dagger import dag

def base():
    box = dag.container().with_file("/bin/busybox", dag.host().file(sys.argv[1]), permissions=0o755)
    return box.with_env_variable("PATH", "/bin").with_exec(["/bin/busybox", "--install", "-s", "/bin"])

async def main():
    async with dagger.connection():
        print(json.dumps(await work(base())))
"""


def words(body: str, busybox: Path) -> list[str]:
    """The command that runs a program; its function ``work`` is given a container with busybox."""
    text = PROGRAM + body + "\nanyio.run(main)\n"
    return [sys.executable, "-m", "engine", "run", "-q", "--", sys.executable, "-c", text, str(busybox)]


def finished(body: str, busybox: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = words(body, busybox)
    return subprocess.run(command, env=environment, cwd=HERE, capture_output=True, text=True, timeout=120, check=False)


def answer(body: str, busybox: Path, environment: dict[str, str]) -> object:
    """What the program's ``work`` gave."""
    done = finished(body, busybox, environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
