"""Services: a container's command that runs beside steps, for as long as something is bound to it.

A service shares the machine's network, and its alias is an entry of ``/etc/hosts`` that names loopback: two services
that want one port cannot run at once, and say so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine import limits, sandbox
from engine.errors import EngineError, ExecFailed
from engine.events import Event
from engine.graph import Port, Service
from engine.owners import home_of, user_of
from engine.secrets import Scrubber

if TYPE_CHECKING:
    from engine.solve import Solver

_PATIENCE = 60.0


@dataclass
class _Running:
    """A service that was started."""

    task: asyncio.Task[sandbox.Outcome] | None
    ports: list[Port]
    servers: list[asyncio.Server] = field(default_factory=list)
    users: int = 0
    asked: bool = False
    output: list[bytes] = field(default_factory=list)


def _table(solver: Solver) -> dict[str, _Running]:
    table: dict[str, _Running] = solver.__dict__.setdefault("services", {})
    return table


def name_of(service: Service) -> str:
    """The host name of a service, from what it is."""
    return service.digest[:13]


@contextlib.asynccontextmanager
async def bound(solver: Solver, services: Sequence[tuple[str, Service]]) -> AsyncIterator[list[tuple[str, str]]]:
    """The services run inside; yields ``(alias, address)`` for the step's ``/etc/hosts``."""
    held: list[Service] = []
    try:
        hosts = []
        for alias, service in services:
            running = await _start(solver, service)
            running.users += 1
            held.append(service)
            hosts.append((alias, "127.0.0.1"))
        yield hosts
    finally:
        for service in held:
            running = _table(solver)[service.digest]
            running.users -= 1
            if running.users == 0 and not running.asked:
                await _end(solver, service)


async def start(solver: Solver, service: Service) -> None:
    """Start it and leave it running until it is stopped or the session ends."""
    (await _start(solver, service)).asked = True


async def stop(solver: Solver, service: Service) -> None:
    if service.digest in _table(solver):
        await _end(solver, service)


async def stop_all(solver: Solver) -> None:
    for digest in list(_table(solver)):
        await _end_digest(solver, digest)


async def ports(solver: Solver, service: Service) -> list[Port]:
    if service.kind == "container":
        return list(service.ports)
    return (await _start(solver, service)).ports


async def endpoint(solver: Solver, service: Service, port: int | None) -> str:
    if service.kind != "container":
        await start(solver, service)
    known = await ports(solver, service)
    number = port or (known[0].port if known else None)
    if number is None:
        raise EngineError("the service has no port: expose one")
    host = "localhost" if service.kind == "tunnel" else service.hostname or name_of(service)
    return f"{host}:{number}"


async def _start(solver: Solver, service: Service) -> _Running:
    running: _Running = await solver.once("service " + service.digest, lambda: _begin(solver, service))
    return running


async def _begin(solver: Solver, service: Service) -> _Running:
    if service.kind == "tunnel":
        assert service.upstream is not None
        await start(solver, service.upstream)
        running = _Running(None, [])
        for frontend, backend, protocol in service.forwards:
            if protocol != "TCP":
                raise EngineError("a tunnel for UDP is not supported by the embedded engine")
            server = await asyncio.start_server(_forwarder(backend), "127.0.0.1", frontend or 0)
            running.servers.append(server)
            running.ports.append(Port(server.sockets[0].getsockname()[1]))
    elif service.kind == "host":
        running = _Running(None, [Port(frontend or backend) for frontend, backend, _ in service.forwards])
    else:
        running = await _run(solver, service)
    _table(solver)[service.digest] = running
    return running


def _forwarder(backend: int):  # type: ignore[no-untyped-def]
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(Exception):
            writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", backend)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    return handle


async def _run(solver: Solver, service: Service) -> _Running:
    from engine.steps import environment_of, prepare

    box = service.container
    assert box is not None
    for port in service.ports:
        if port.protocol == "TCP" and await _listens(port.port):
            raise EngineError(f"port {port.port} is in use on this machine, and the service needs it")
    root = await solver.solve(box.root)
    sources = {m.at: await solver.solve(m.op) for m in box.mounts if m.op is not None}
    stack = contextlib.AsyncExitStack()
    hosts = await stack.enter_async_context(bound(solver, box.services)) if box.services else []
    uid, gid, groups = user_of(solver.store, solver.trees, root, box.user)
    work = solver.store.folder()
    mounts, _, _ = await prepare(solver, box, root, sources, work, hosts)
    running = _Running(None, list(service.ports))
    values = [solver.secrets.value(s) for _, s in box.secret_env]
    name = " ".join(service.args)[:80]

    scrubber = Scrubber(values)

    def tell(chunk: bytes) -> None:
        text = scrubber.feed(chunk)
        running.output.append(text)
        del running.output[:-200]
        solver.on_event(Event("output", "", name, text=text.decode(errors="replace")))

    command = sandbox.Command(
        service.args,
        {"HOME": home_of(solver.store, solver.trees, root, uid), **environment_of(solver, box)},
        box.workdir or "/",
        mounts,
        uid,
        gid,
        groups,
    )

    async def serve() -> sandbox.Outcome:
        try:
            return await sandbox.run(await solver.tools(), command, replace(limits.from_environment(), seconds=0), tell)
        finally:
            await stack.aclose()

    running.task = asyncio.ensure_future(serve())
    try:
        async with asyncio.timeout(_PATIENCE):
            for port in service.ports:
                while (
                    port.protocol == "TCP" and not port.experimental_skip_healthcheck and not await _listens(port.port)
                ):
                    if running.task.done():
                        outcome = running.task.result()
                        text = b"".join(running.output).decode(errors="replace")
                        raise ExecFailed(
                            service.args, outcome.exit_code or 0, "", text, f"exit code: {outcome.exit_code}"
                        )
                    await asyncio.sleep(0.02)
    except TimeoutError:
        running.task.cancel()
        raise EngineError(f"the service {name!r} did not listen within {_PATIENCE:.0f} s") from None
    return running


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _end(solver: Solver, service: Service) -> None:
    await _end_digest(solver, service.digest)


async def _end_digest(solver: Solver, digest: str) -> None:
    running = _table(solver).pop(digest, None)
    solver._running.pop("service " + digest, None)
    if running is None:
        return
    for server in running.servers:
        server.close()
    if running.task is not None:
        running.task.cancel()
        with contextlib.suppress(BaseException):
            await running.task
