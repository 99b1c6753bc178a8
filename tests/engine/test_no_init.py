"""Steps without an init: nothing of them outlives their limit or their session."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from programs import HERE, answer, words

STEP = """
async def work(box):
    box = box.with_new_file("/etc/passwd", "u:x:1234:1234::/:/bin/sh\\n").with_user("1234")
    print("ready", flush=True)
    try:
        await box.with_exec(["sh", "-c", "sleep 5{mark}"], no_init=True).sync()
    except dagger.ExecError as error:
        return str(error)
"""


def sleeping(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"sleep\0005{mark}\0".encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_a_step_of_another_user_without_an_init_ends_at_its_time_limit(
    busybox: Path, environment: dict[str, str]
) -> None:
    mark = f"{time.time_ns() % 10**6 + 10**6}"
    said = answer(STEP.format(mark=mark), busybox, {**environment, "PIPELINES_STEP_SECONDS": "2"})
    assert "longer than 2 s" in str(said)
    assert sleeping(mark) == []


def test_such_a_step_ends_with_its_session(busybox: Path, environment: dict[str, str]) -> None:
    mark = f"{time.time_ns() % 10**6 + 10**6}"
    running = subprocess.Popen(
        words(STEP.format(mark=mark), busybox), env=environment, cwd=HERE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 100
    while not sleeping(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert sleeping(mark)
    running.terminate()
    running.communicate(timeout=60)  # The program ends by the signal that is passed on, and its session after it.
    deadline = time.monotonic() + 20
    while sleeping(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert sleeping(mark) == []
