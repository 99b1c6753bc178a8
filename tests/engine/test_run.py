"""``python -m engine run`` as its users meet it: arguments, streams, signals and exit codes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
RUN = [sys.executable, "-m", "engine", "run", "-q"]
#: Tells that it is ready by making a file, and of the signal that ends it by its exit code.
WAITS = """
import signal, sys, time, pathlib
got = []
for name in sys.argv[2:]:
    signal.signal(getattr(signal, name), lambda n, _: got.append(n))
pathlib.Path(sys.argv[1]).touch()
while not got:
    time.sleep(0.02)
time.sleep(0.2)
print(len(got))
sys.exit(40 + got[0])
"""


def engine_run(*words: str, cwd: Path = HERE, **more: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    return subprocess.run([*RUN, *words], env=env, cwd=cwd, capture_output=True, text=True, timeout=60, **more)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -TERM $$"), 128 + signal.SIGTERM),
        (("no-such-program",), 127),
        (("/etc/passwd",), 126),
    ],
)
def test_the_exit_code_of_a_run_is_the_programs(words: tuple[str, ...], code: int) -> None:
    assert engine_run("--", *words).returncode == code


def test_a_run_ends_with_its_program_where_its_starter_ignored_the_end_of_children() -> None:
    deaf = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    words = [sys.executable, "-c", deaf, *RUN, "--", "sh", "-c", "exit 7"]
    assert subprocess.run(words, env=env, cwd=HERE, timeout=60, check=False).returncode == 7


def test_a_run_passes_arguments_and_streams_on_as_they_are(tmp_path: Path) -> None:
    done = engine_run(
        "--", "sh", "-c", 'cat; echo "$#:$1:$2"; pwd; echo err >&2', "x", "--", "-q", input="in\n", cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == (f"in\n2:--:-q\n{tmp_path}\n", "err\n")


def test_a_run_without_a_command_says_what_is_missing() -> None:
    done = engine_run()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "run needs a command" in done.stderr


def test_a_run_in_a_run_has_a_session_of_its_own() -> None:
    ports = "echo $DAGGER_SESSION_PORT; "
    done = engine_run("--", "sh", "-c", ports + '"$@"', "x", *RUN, "--", "sh", "-c", ports + "exit 3")
    assert done.returncode == 3 and len(set(done.stdout.split())) == 2


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGUSR1"])
def test_a_signal_that_the_engine_alone_is_sent_reaches_the_program(name: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    running = subprocess.Popen(
        [*RUN, "--", sys.executable, "-c", WAITS, str(ready), name], cwd=HERE, stdout=subprocess.PIPE, text=True
    )
    while not ready.exists():
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(getattr(signal, name))
    assert running.communicate(timeout=30)[0] == "1\n"
    assert running.returncode == 40 + getattr(signal, name)


def test_an_interrupt_from_the_terminal_reaches_the_program_once(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(HERE)
        os.execv(sys.executable, [*RUN, "--", sys.executable, "-c", WAITS, str(ready), "SIGINT"])
    while not ready.exists():
        time.sleep(0.02)
    os.write(terminal, b"\x03")
    printed = b""
    while True:
        try:
            data = os.read(terminal, 1024)
        except OSError:
            break
        printed += data
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 40 + signal.SIGINT
    assert b"1\r\n" in printed
