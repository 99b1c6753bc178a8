"""Nothing of a step outlives its limit, its session or its engine, whatever ends that."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import HERE, answer, words

STEP = """
async def work(box):
    box = box.with_new_file("/etc/passwd", "root:x:0:0::/:/bin/sh\\nu:x:1234:1234::/:/bin/sh\\n")
    box = box.with_new_file("/etc/group", "root:x:0:\\n")
    print("ready", flush=True)
    try:
        await {step}.sync()
    except dagger.ExecError as error:
        return str(error)
"""
#: Of another user from the start, root that becomes another, and with the sandbox's own init.
STEPS = {
    "another user": 'box.with_user("1234").with_exec(["sh", "-c", "sleep 5{mark}"], no_init=True)',
    "root": 'box.with_exec(["sleep", "5{mark}"], no_init=True)',
    "root that changes its user": 'box.with_exec(["su", "u", "-c", "exec sleep 5{mark}"], no_init=True)',
    "an init": 'box.with_exec(["sh", "-c", "setsid sleep 5{mark} & sleep 5{mark}"])',
}


@pytest.fixture
def mark() -> str:
    return f"{time.time_ns() % 10**6 + 10**6}"


def step(kind: str, mark: str) -> str:
    return STEP.format(step=STEPS[kind].format(mark=mark))


def sleeping(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"sleep\0005{mark}\0".encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def within(seconds: float, true: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(true())


def started(kind: str, mark: str, busybox: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = words(step(kind, mark), busybox)
    running = subprocess.Popen(
        command, env=environment, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert within(100, lambda: sleeping(mark) or running.poll() is not None)
    assert sleeping(mark), running.communicate()[1].decode()[-2000:]
    return running


def test_a_step_of_another_user_without_an_init_ends_at_its_time_limit(
    mark: str, busybox: Path, environment: dict[str, str]
) -> None:
    said = answer(step("another user", mark), busybox, {**environment, "PIPELINES_STEP_SECONDS": "2"})
    assert "longer than 2 s" in str(said)
    assert sleeping(mark) == []


def test_such_a_step_ends_with_its_session(mark: str, busybox: Path, environment: dict[str, str]) -> None:
    running = started("another user", mark, busybox, environment)
    running.terminate()
    running.communicate(timeout=60)  # The program ends by the signal that is passed on, and its session after it.
    assert within(20, lambda: not sleeping(mark))


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["alone", "with its group"])
def test_no_step_lives_on_when_the_engine_is_killed(
    send: Callable[[int, int], None], kind: str, mark: str, busybox: Path, environment: dict[str, str]
) -> None:
    if kind == "root that changes its user" and os.geteuid() != 0:
        pytest.skip("a step of an ordinary user's engine knows one user")
    running = started(kind, mark, busybox, environment)
    send(running.pid, signal.SIGKILL)
    assert within(10, lambda: not sleeping(mark))
    running.communicate(timeout=5)  # Nor does the program, whose session is gone.


def test_a_step_that_is_being_set_up_does_not_begin_when_the_engine_is_killed(
    mark: str, busybox: Path, environment: dict[str, str]
) -> None:
    command = words(step("an init", mark), busybox)
    tools = environment["PIPELINES_SANDBOX_TOOLS"].encode()

    def left() -> list[bytes]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_bytes()
            except OSError:
                continue
            found += [text] if tools in text and mark.encode() in text else []
        return found

    for pause in range(0, 16, 2):
        running = subprocess.Popen(
            command,
            env=environment,
            cwd=HERE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # The first process that has to do with the step is bubblewrap's own; it is killed so many milliseconds later.
        assert within(100, lambda: left() or sleeping(mark))
        time.sleep(pause / 1000)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        assert within(10, lambda: not sleeping(mark) and not left())
