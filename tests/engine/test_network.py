"""Networks of steps and services: each its own, names between them, ways to the host only where they were given."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from programs import answer, finished

from engine.errors import EngineError
from engine.network import kept
from engine.store import Store
from engine.tools import tools

WEB = """
def web(box, text, port=8080):
    box = box.with_new_file("/srv/x", text).with_exposed_port(port)
    return box.as_service(args=["httpd", "-f", "-p", str(port), "-h", "/srv"])

def fresh(box):
    return box.with_env_variable("NOW", os.urandom(8).hex())
"""


@pytest.fixture
def host_port(tmp_path: Path) -> Iterator[int]:
    """A web server on the machine's loopback."""
    (tmp_path / "x").write_text("of the host")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_services_on_one_port_are_told_apart_by_alias_and_by_host_name(
    busybox: Path, environment: dict[str, str]
) -> None:
    body = (
        WEB
        + """
async def work(box):
    one, other = web(box, "one"), web(box, "other").with_hostname("named")
    both = fresh(box).with_service_binding("a", one).with_service_binding("b", other)
    get = "wget -q -O- http://a:8080/x; wget -q -O- http://b:8080/x; wget -q -O- http://named:8080/x"
    bound = await both.with_exec(["sh", "-c", get]).stdout()
    await other.start()
    started = await fresh(box).with_exec(["wget", "-q", "-O-", f"http://{await other.endpoint()}/x"]).stdout()
    await other.stop()
    return [bound, started]
"""
    )
    assert answer(body, busybox, environment) == ["oneotherother", "other"]


def test_steps_that_listen_on_one_port_at_once_do_not_meet(busybox: Path, environment: dict[str, str]) -> None:
    body = (
        WEB
        + """
async def work(box):
    out = []
    async def one(n):
        script = f"mkdir -p /w; echo {n} > /w/x; httpd -p 7070 -h /w; sleep 1; wget -q -O- http://127.0.0.1:7070/x"
        out.append(await fresh(box).with_exec(["sh", "-c", script]).stdout())
    async with anyio.create_task_group() as group:
        for n in range(2):
            group.start_soon(one, n)
    return sorted(out)
"""
    )
    assert answer(body, busybox, environment) == ["0\n", "1\n"]


def test_the_machines_loopback_is_reached_only_through_a_service_of_the_host(
    busybox: Path, environment: dict[str, str], host_port: int
) -> None:
    body = (
        WEB
        + f"""
async def work(box):
    get = ["wget", "-q", "-T", "3", "-O-"]
    direct = fresh(box).with_exec([*get, "http://127.0.0.1:{host_port}/x"], expect=dagger.ReturnType.ANY)
    host = dag.host().service([dagger.PortForward(backend={host_port}, frontend=80)])
    bound = fresh(box).with_service_binding("machine", host)
    return [await direct.exit_code(), await bound.with_exec([*get, "http://machine/x"]).stdout()]
"""
    )
    assert answer(body, busybox, environment) == [1, "of the host"]


def test_ports_that_the_engine_was_told_of_are_reached_on_a_steps_own_loopback(
    busybox: Path, environment: dict[str, str], host_port: int
) -> None:
    body = (
        WEB
        + f"""
async def work(box):
    return await fresh(box).with_exec(["wget", "-q", "-O-", "http://127.0.0.1:{host_port}/x"]).stdout()
"""
    )
    given = {**environment, "PIP_INDEX_URL": f"http://me:word@localhost:{host_port}/simple"}
    assert answer(body, busybox, given) == "of the host"
    assert answer(body, busybox, {**environment, "PIPELINES_HOST_PORTS": str(host_port)}) == "of the host"


def test_a_tunnel_leads_from_the_machine_to_a_service(busybox: Path, environment: dict[str, str]) -> None:
    body = (
        WEB
        + """
import urllib.request

async def work(box):
    tunnel = dag.host().tunnel(web(box, "inside"))
    await tunnel.start()
    url = f"http://{await tunnel.endpoint()}/x"
    text = await anyio.to_thread.run_sync(lambda: urllib.request.urlopen(url, timeout=20).read().decode())
    await tunnel.stop()
    return text
"""
    )
    assert answer(body, busybox, environment) == "inside"


def test_a_service_reaches_the_services_bound_to_it(busybox: Path, environment: dict[str, str]) -> None:
    body = (
        WEB
        + """
async def work(box):
    behind = web(box, "behind")
    script = "mkdir -p /w; wget -q -O /w/x http://behind:8080/x; httpd -f -p 80 -h /w"
    front = box.with_service_binding("behind", behind).with_exposed_port(80).as_service(args=["sh", "-c", script])
    return await fresh(box).with_service_binding("front", front).with_exec(["wget", "-q", "-O-", "http://front/x"]).stdout()
"""
    )
    assert answer(body, busybox, environment) == "behind"


def test_where_no_network_can_be_made_steps_share_the_machines_and_one_line_says_so(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    store = Store()
    shutil.copytree(tools(store).root, tmp_path / "tools", symlinks=True)
    store.close()
    (tmp_path / "tools/usr/bin/passt").unlink()
    body = (
        WEB
        + """
async def work(box):
    return await fresh(box).with_service_binding("web", web(box, "x", 18181)).with_exec(["wget", "-q", "-O-", "http://web:18181/x"]).stdout()
"""
    )
    done = finished(body, busybox, {**environment, "PIPELINES_SANDBOX_TOOLS": str(tmp_path / "tools")})
    assert done.stdout.strip() == '"x"', done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("engine: steps share this machine's network") and "passt" in line


def test_ports_are_read_from_what_names_a_proxy_or_an_index_and_nothing_else() -> None:
    given = {
        "https_proxy": "http://127.0.0.1:3128",
        "PIP_INDEX_URL": "https://u:p@localhost:8080/simple https://example.org:99/",
        "DATABASE_URL": "postgres://localhost:5432/x",
        "PIPELINES_HOST_PORTS": "7000, 7001",
    }
    assert kept(given) == [3128, 7000, 7001, 8080]
    with pytest.raises(EngineError, match="PIPELINES_HOST_PORTS"):
        kept({"PIPELINES_HOST_PORTS": "x"})
