"""The embedded engine as its users meet it: through Dagger's SDK, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
SHARED = HERE.parent / "shared/conformance"
PROGRAM = """
import sys, json, anyio, dagger
from dagger import dag

def base():
    box = dag.container().with_file("/bin/busybox", dag.host().file(sys.argv[1]), permissions=0o755)
    return box.with_env_variable("PATH", "/bin").with_exec(["/bin/busybox", "--install", "-s", "/bin"])

async def main():
    async with dagger.connection():
        print(json.dumps(await work(base())))
"""


def run(body: str, busybox: Path, environment: dict[str, str], cache: Path | None = None) -> object:
    """What a program prints; its function ``work`` is given a container with busybox."""
    text = PROGRAM + body + "\nanyio.run(main)\n"
    env = {**environment, **({"XDG_CACHE_HOME": str(cache)} if cache else {})}
    words = [sys.executable, "-m", "engine", "run", "-q", "--", sys.executable, "-c", text, str(busybox)]
    done = subprocess.run(words, env=env, cwd=HERE, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_step_gives_its_output_and_its_exit_code(busybox: Path, environment: dict[str, str]) -> None:
    body = """
async def work(box):
    done = box.with_exec(["sh", "-c", "echo out; echo err >&2; exit 3"], expect=dagger.ReturnType.ANY)
    return [await done.stdout(), await done.stderr(), await done.exit_code()]
"""
    assert run(body, busybox, environment) == ["out\n", "err\n", 3]


def test_a_field_outside_the_subset_is_refused_by_its_name(busybox: Path, environment: dict[str, str]) -> None:
    body = """
async def work(box):
    try:
        await dag.git("https://example.invalid/x").head().commit()
    except dagger.QueryError as error:
        return [str(error), error.errors[0].extensions["field"]]
"""
    message, field = run(body, busybox, environment)  # type: ignore[misc]
    assert field == "Query.git" and "not supported by the embedded engine" in message


def test_a_step_keeps_nothing_of_a_secret_in_the_store(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    secret = "s3cr3t-" + os.urandom(8).hex()
    body = f"""
async def work(box):
    given = dag.set_secret("token", {secret!r})
    done = box.with_secret_variable("TOKEN", given).with_mounted_secret("/token", given)
    return await done.with_exec(["sh", "-c", "echo $TOKEN; cat /token"]).stdout()
"""
    assert run(body, busybox, environment, tmp_path) == "***\n***"
    hits = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_symlink() and secret.encode() in p.read_bytes()]
    assert hits == []


def test_a_damaged_blob_is_never_used(busybox: Path, environment: dict[str, str], tmp_path: Path) -> None:
    body = """
async def work(box):
    return await box.with_exec(["sh", "-c", "echo right > /f"]).file("/f").contents()
"""
    assert run(body, busybox, environment, tmp_path) == "right\n"
    damaged = 0
    for path in (tmp_path / "pipelines-engine/blobs").rglob("*"):
        if path.is_file() and path.read_bytes() == b"right\n":
            path.write_bytes(b"wrong\n")
            damaged += 1
    assert damaged
    assert run(body, busybox, environment, tmp_path) == "right\n"


def test_a_request_without_the_token_is_refused() -> None:
    from engine import serve

    with serve() as session:
        request = urllib.request.Request(f"http://127.0.0.1:{session.port}/query", b'{"query":"{version}"}')
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == 401


def test_a_killed_run_leaves_no_process_and_a_store_that_works(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    mark = f"sleep {900 + os.getpid() % 90}.25"
    text = (
        PROGRAM + f"\nasync def work(box):\n    await box.with_exec(['sh', '-c', '{mark}']).sync()\nanyio.run(main)\n"
    )
    env = {**environment, "XDG_CACHE_HOME": str(tmp_path)}
    words = [sys.executable, "-m", "engine", "run", "-q", "--", sys.executable, "-c", text, str(busybox)]
    running = subprocess.Popen(words, env=env, cwd=HERE, start_new_session=True, stderr=subprocess.DEVNULL)

    def alive() -> bool:
        found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return any(line.strip() == mark for line in found.splitlines())

    deadline = time.monotonic() + 60
    while not alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive()
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    deadline = time.monotonic() + 10
    while alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive()
    body = "async def work(box):\n    return await box.with_exec(['echo', 'fine']).stdout()\n"
    assert run(body, busybox, environment, tmp_path) == "fine\n"
    assert list((tmp_path / "pipelines-engine/tmp").iterdir()) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded conformance cases are not beside this checkout")
def test_every_recorded_answer_of_a_dagger_engine_is_given(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    root = tmp_path / "conformance/root"
    for name in ("bin", "etc", "tmp", "root", "proc", "dev", "sys", "run"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "bin/busybox").write_bytes(busybox.read_bytes())
    (root / "bin/busybox").chmod(0o755)
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\ncift:x:1000:1000::/tmp:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\ncift:x:1000:\n")
    env = {**environment, "CONFORMANCE_ROOT": str(root.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-m", "engine", "run", "-q", "--", sys.executable, str(SHARED / "run.py")]
    done = subprocess.run(words, env=env, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
    if os.geteuid() != 0:
        pytest.skip("an ordinary user without subordinate users has one user in a step: owners cannot be told apart")
    assert "0 failed" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]
