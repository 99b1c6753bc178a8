"""The engine in places that give it little, and beside users who want more than is theirs."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import HERE, words

from engine import serve

#: What container engines leave a container's root by default.
_KEPT = (
    "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod audit_write"
)
_CONTAINER = """
mount --make-rprivate /
if [ "$0" = covered ]; then
    mount -t tmpfs -o ro none /proc/acpi 2>/dev/null; mount --bind /dev/null /proc/kcore 2>/dev/null
    mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
fi
caps="$1"; shift
exec setpriv --bounding-set "$caps" --inh-caps "$caps" "$@"
"""
_BODY = """
async def work(box):
    web = box.with_exposed_port(8080).with_new_file("/www/f", "served")
    web = web.as_service(args=["httpd", "-f", "-p", "8080", "-h", "/www"])
    user = await box.with_user("1000").with_exec(["id", "-u"]).stdout()
    fetched = await box.with_service_binding("web", web).with_exec(["wget", "-qO-", "http://web:8080/f"]).stdout()
    return [user, fetched, await box.with_exec(["sh", "-c", "echo $$ > /f; chown 7:8 /f; stat -c %u /f"]).stdout()]
"""


def _container(covered: str) -> list[str]:
    caps = ",".join(["-all", *(f"+{name}" for name in (*_KEPT.split(), "setfcap"))])
    return ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", _CONTAINER, covered, caps]


@pytest.mark.parametrize("proc", ["open", "covered"])
def test_a_container_without_privileges_runs_steps_as_any_user_with_networks_and_services(
    proc: str, busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    within = _container(proc)
    if os.geteuid() or not shutil.which("setpriv") or subprocess.run([*within, "true"], check=False).returncode:
        pytest.skip("a container is made here by root, with util-linux's unshare and setpriv")
    env = {**environment, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [*within, *words(_BODY, busybox)], env=env, cwd=HERE, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == ["1000\n", "served", "7\n"]
    assert done.stderr.count("steps see this machine's /proc") == (proc == "covered"), done.stderr


def test_a_user_namespace_that_knows_one_user_runs_steps(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    within = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*within, "true"], check=False).returncode:
        pytest.skip("this machine allows no user namespaces")
    body = 'async def work(box):\n    return await box.with_exec(["sh", "-c", "id -u; echo x > /f; cat /f"]).stdout()\n'
    env = {**environment, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [*within, *words(body, busybox)], env=env, cwd=HERE, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == "0\nx\n"


def _as_nobody(work: Callable[[], str]) -> str:
    """What the work says when a process of another user does it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writing, work().encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def test_another_user_of_the_machine_gets_neither_an_answer_nor_the_token_nor_the_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("only root can be another user")
    place = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    with serve() as session:
        program = subprocess.Popen(["sleep", "60"], env={**os.environ, **session.environment})

        def ask() -> str:
            connection = http.client.HTTPConnection("127.0.0.1", session.port, timeout=30)
            connection.request("POST", "/query", '{"query": "{ version }"}', {"Content-Type": "application/json"})
            return str(connection.getresponse().status)

        def read(path: str) -> Callable[[], str]:
            def body() -> str:
                with open(path, "rb") as file:
                    return file.read().decode(errors="replace")

            return body

        try:
            assert _as_nobody(ask) == "401"
            # /proc/PID/environ and command lines are where tokens leak.
            assert "PermissionError" in _as_nobody(read(f"/proc/{program.pid}/environ"))
            for pid in (os.getpid(), program.pid):
                assert session.token not in _as_nobody(read(f"/proc/{pid}/cmdline"))
            for folder in (place / "pipelines-engine").iterdir():
                if folder.is_dir():
                    assert not stat.S_IMODE(folder.stat().st_mode) & 0o077, folder
        finally:
            program.kill()
            program.wait()
