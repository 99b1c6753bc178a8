"""What a step may not: system calls, limits, sights of the host; and what becomes of secrets."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import HERE, answer

from engine.secrets import Scrubber

FAILURE = """
async def work(box):
    try:
        await box.with_exec({args!r}).sync()
    except dagger.ExecError as error:
        return [error.exit_code, str(error)]
"""


@pytest.mark.parametrize(
    ("args", "limit", "words"),
    [
        (["sh", "-c", "while :; do sleep 60 & done"], {"PIPELINES_STEP_PROCESSES": "300"}, "300 processes"),
        (["sh", "-c", "dd if=/dev/zero of=/dev/null bs=600M; sleep 60"], {"PIPELINES_STEP_MEMORY": "200MB"}, "0.2 GB"),
        (["sleep", "60"], {"PIPELINES_STEP_SECONDS": "1"}, "longer than 1 s"),
        (["yes", "x" * 1000], {}, "256 MiB of output"),
    ],
    ids=["processes", "memory", "time", "output"],
)
def test_a_step_over_a_limit_ends_with_an_error_that_names_the_step_and_the_limit(
    args: list[str], limit: dict[str, str], words: str, busybox: Path, environment: dict[str, str]
) -> None:
    began = time.monotonic()
    code, message = answer(FAILURE.format(args=args), busybox, {**environment, **limit})  # type: ignore[misc]
    assert code == 137
    assert words in message and args[0] in message
    assert time.monotonic() - began < 50


def test_a_step_begins_with_no_signal_blocked_so_that_kill_and_timeout_work(
    busybox: Path, environment: dict[str, str]
) -> None:
    body = """
async def work(box):
    box = box.with_secret_variable("HOST", dag.secret("cmd://grep SigBlk /proc/self/status"))
    script = 'sleep 50 & kill $!; wait $!; echo $?; timeout 1 sleep 50; echo $?; expr "$HOST" : ".*0000000000000000"'
    return await box.with_exec(["sh", "-c", script]).stdout()
"""
    began = time.monotonic()
    assert str(answer(body, busybox, environment)).split() == ["143", "143", str(len("SigBlk:\t") + 16)]
    assert time.monotonic() - began < 45


def test_new_volumes_filled_by_steps_do_not_keep_those_steps_from_running(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    body = """
async def work(box):
    seen = []
    async def one(n):
        made = box.with_exec(["sh", "-c", f"mkdir /made; echo {n} > /made/n"]).directory("/made")
        filled = box.with_mounted_cache("/cache", dag.cache_volume(f"volume {n}"), source=made)
        seen.append(await filled.with_exec(["cat", "/cache/n"]).stdout())
    async with anyio.create_task_group() as group:
        for n in range(max(2, os.cpu_count() or 2) + 1):
            group.start_soon(one, n)
    return sorted(map(int, seen))
"""
    seen = answer(body, busybox, {**environment, "XDG_CACHE_HOME": str(tmp_path)})
    assert seen == list(range(max(2, os.cpu_count() or 2) + 1))


def test_a_limit_that_is_no_number_is_named(busybox: Path, environment: dict[str, str]) -> None:
    body = """
async def work(box):
    try:
        await box.with_env_variable("NOW", os.urandom(8).hex()).with_exec(["true"]).sync()
    except dagger.QueryError as error:
        return str(error)
"""
    message = answer(body, busybox, {**environment, "PIPELINES_STEP_MEMORY": "much"})
    assert "PIPELINES_STEP_MEMORY" in str(message) and "'much'" in str(message)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="the filter knows two architectures")
def test_a_step_cannot_mount_make_namespaces_or_change_the_machine(busybox: Path, environment: dict[str, str]) -> None:
    tries = {
        "mount": "mount -t tmpfs none /mnt",
        "unmount": "umount /proc",
        "namespace": "unshare -U true",
        "sysctl": "echo x > /proc/sys/kernel/core_pattern",
        "log": "dmesg",
        "host name": "hostname other",
        "device": "mknod /d b 8 0",
        "sysrq": "echo h > /proc/sysrq-trigger && test ! -c /proc/sysrq-trigger",
        "keys": "test -s /proc/keys",
        "firmware": "test -e /sys/firmware",
        "others": "test -e /proc/1/root/work",
    }
    body = f"""
async def work(box):
    # What an older engine let through must not be remembered here.
    box = box.with_env_variable("NOW", os.urandom(8).hex())
    out = {{}}
    for name, text in {tries!r}.items():
        done = box.with_exec(["sh", "-c", "mkdir -p /mnt; " + text], expect=dagger.ReturnType.ANY)
        out[name] = await done.exit_code()
    status = await box.with_exec(["cat", "/proc/self/status"]).stdout()
    out["status"] = dict(line.split(":\\t") for line in status.splitlines() if ":\\t" in line)
    return out
"""
    found = answer(body, busybox, environment)
    assert isinstance(found, dict)
    status = found.pop("status")
    assert [name for name, code in found.items() if code == 0] == []
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["CapBnd"], 16) & (1 << 21 | 1 << 19 | 1 << 27) == 0  # SYS_ADMIN, SYS_PTRACE, MKNOD


def test_a_step_without_the_network_sees_loopback_alone(busybox: Path, environment: dict[str, str]) -> None:
    body = """
async def work(box):
    box = box.with_env_variable("PIPELINES_NETWORK", "none")
    return await box.with_exec(["sh", "-c", "ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1"]).stdout()
"""
    assert str(answer(body, busybox, environment)).split() == ["lo"]


def test_a_secret_cut_by_chunks_is_hidden() -> None:
    text = b"a topsecret b tops topsecret"
    for size in range(1, len(text)):
        scrubber = Scrubber([b"topsecret", b"tops3"])
        out = b"".join(scrubber.feed(text[at : at + size]) for at in range(0, len(text), size)) + scrubber.end()
        assert out == b"a *** b tops ***"


@pytest.mark.parametrize("ending", ["exit 0", "exit 3", "sleep 60"])
def test_a_secret_is_in_no_log_and_not_in_the_store_however_the_step_ends(
    ending: str, busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    secret = "s3cr3t" + os.urandom(8).hex()
    half = len(secret) // 2
    body = f"""
async def work(box):
    given = dag.set_secret("token", {secret[:half]!r} + {secret[half:]!r})
    box = box.with_secret_variable("TOKEN", given).with_mounted_secret("/run/token", given)
    script = "printf %.9s $TOKEN; sleep 0.2; printf %s ${{TOKEN#?????????}}; cat /run/token >&2; {ending}"
    try:
        return await box.with_exec(["sh", "-c", script]).stdout()
    except dagger.ExecError as error:
        return [error.stdout, error.stderr, str(error)]
"""
    env = {**environment, "XDG_CACHE_HOME": str(tmp_path), "PIPELINES_STEP_SECONDS": "2"}
    shown = answer(body, busybox, env)
    assert secret not in str(shown) and "***" in str(shown)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_a_step_can_be_given_another_time_of_day_and_keeps_nothing_of_it(environment: dict[str, str]) -> None:
    program = """
import anyio, dagger
from dagger import dag
from pipelines.inputs import downloads, seed
from pipelines.stages.bases import builder, root

async def main():
    async with dagger.connection():
        base = builder(await root(seed(), downloads("python-builder"), "python base"), "clock")
        step = base.with_env_variable("N", "%s").with_exec(["python3", "-c", "import time; print(int(time.time()))"])
        print(await step.stdout(), await step.rootfs().exists(".clock.so"))

anyio.run(main)
"""
    words = [sys.executable, "-m", "engine", "run", "-q", "--", sys.executable, "-c", program % time.time_ns()]
    env = {**environment, "PIPELINES_STEP_CLOCK": "90000"}
    done = subprocess.run(words, cwd=HERE, env=env, capture_output=True, text=True, timeout=180, check=True)
    said, left = done.stdout.split()
    assert 89_000 < int(said) - time.time() < 91_000
    assert left == "False"
