"""Services: a container's command that runs beside steps, for as long as something is bound to it.

A service has a place of its own on the session's network, and is known to steps by its alias and by its host name.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine import limits, sandbox
from engine.errors import EngineError, ExecFailed
from engine.events import Event
from engine.graph import Container, Port, Service
from engine.network import SHARED, Place, kept
from engine.owners import home_of, user_of
from engine.secrets import Scrubber

if TYPE_CHECKING:
    from engine.solve import Solver

NETWORK = "PIPELINES_NETWORK"
_PATIENCE = 60.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Running:
    """A service that was started; ``held`` is what ends with it."""

    name: str
    place: Place
    ports: list[Port]
    held: contextlib.AsyncExitStack
    users: int = 0
    asked: bool = False
    output: list[bytes] = field(default_factory=list)


def name_of(service: Service) -> str:
    """The host name of a service: given, or from what it is."""
    return service.hostname or service.digest[:13]


@contextlib.asynccontextmanager
async def bound(solver: Solver, services: Sequence[tuple[str, Service]]) -> AsyncIterator[list[tuple[str, str]]]:
    """The services run inside; yields ``(alias, address)`` for the step's ``/etc/hosts``."""
    held: list[tuple[str, Running]] = []
    try:
        for alias, service in services:
            running = await _start(solver, service)
            running.users += 1
            held.append((alias, running))
        yield [(alias, running.place.address) for alias, running in held]
    finally:
        for _, running in held:
            running.users -= 1
        for _, service in services:
            known = solver.services.get(service.digest)
            if known is not None and known.users == 0 and not known.asked:
                await stop(solver, service)


@contextlib.asynccontextmanager
async def beside(solver: Solver, box: Container) -> AsyncIterator[tuple[Place, list[tuple[str, str]]]]:
    """A step's place on the network, and ``(name, address)`` of the services that it can reach."""
    async with contextlib.AsyncExitStack() as stack:
        hosts = await stack.enter_async_context(bound(solver, box.services))
        if not networked(box):
            yield SHARED, hosts
            return
        place = await stack.enter_async_context(solver.network.place())
        for port in kept():
            await relayed(solver, place, "127.0.0.1", port, "127.0.0.1", port, stack)
        yield place, hosts + named(solver)


def networked(box: Container) -> bool:
    """Whether a step has the network: not where its own environment, or the engine's, says ``PIPELINES_NETWORK=none``."""
    return "none" not in (dict(box.env).get(NETWORK), os.environ.get(NETWORK))


def named(solver: Solver) -> list[tuple[str, str]]:
    """``(host name, address)`` of every service that runs."""
    return [(running.name, running.place.address) for running in solver.services.values()]


async def start(solver: Solver, service: Service) -> None:
    """Start it and leave it running until it is stopped or the session ends."""
    (await _start(solver, service)).asked = True


async def stop(solver: Solver, service: Service) -> None:
    await _stop(solver, service.digest)


async def stop_all(solver: Solver) -> None:
    for digest in list(solver.services):
        await _stop(solver, digest)


async def _stop(solver: Solver, digest: str) -> None:
    running = solver.services.pop(digest, None)
    solver.done("service " + digest)
    if running is not None:
        await running.held.aclose()


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
    return f"{'localhost' if service.kind == 'tunnel' else name_of(service)}:{number}"


async def _start(solver: Solver, service: Service) -> Running:
    running: Running = await solver.once("service " + service.digest, lambda: _begin(solver, service))
    return running


async def _begin(solver: Solver, service: Service) -> Running:
    begin = {"tunnel": _tunnel, "host": _host, "container": _run}[service.kind]
    async with contextlib.AsyncExitStack() as stack:
        running = await begin(solver, service, stack)
        running.held = stack.pop_all()
    solver.services[service.digest] = running
    return running


async def _tunnel(solver: Solver, service: Service, stack: contextlib.AsyncExitStack) -> Running:
    """Ports of the host that lead to a service."""
    assert service.upstream is not None
    upstream = await _start(solver, service.upstream)
    upstream.asked = True
    running = Running(name_of(service), SHARED, [], stack)
    for frontend, backend, protocol in service.forwards:
        _need_tcp(protocol)

        def inside(port: int = backend) -> Awaitable[Streams]:
            return solver.network.connection(upstream.place, port)

        server = await asyncio.start_server(_relay(inside), "127.0.0.1", frontend or 0)
        stack.push_async_callback(_closed, server)
        running.ports.append(Port(server.sockets[0].getsockname()[1]))
    return running


async def _host(solver: Solver, service: Service, stack: contextlib.AsyncExitStack) -> Running:
    """A place whose ports lead to the host's."""
    place = await stack.enter_async_context(solver.network.place())
    for frontend, backend, protocol in service.forwards:
        _need_tcp(protocol)
        await relayed(solver, place, place.address, frontend or backend, service.host, backend, stack)
    ports = [Port(frontend or backend) for frontend, backend, _ in service.forwards]
    return Running(name_of(service), place, ports, stack)


async def relayed(
    solver: Solver, place: Place, address: str, port: int, host: str, to: int, stack: contextlib.AsyncExitStack
) -> None:
    """Let what connects to a port of a place reach a port that the host can reach."""
    if place is SHARED and port == to:
        return
    listener = await solver.network.socket(place)
    stack.callback(listener.close)
    try:
        listener.bind((address, port))
    except OSError as error:
        raise EngineError(f"port {port} cannot lead to {host}:{to}: {error.strerror}") from None
    server = await asyncio.start_server(_relay(lambda: asyncio.open_connection(host, to)), sock=listener)
    stack.push_async_callback(_closed, server)


def _need_tcp(protocol: str) -> None:
    if protocol != "TCP":
        raise EngineError("a tunnel for UDP is not supported by the embedded engine")


async def _closed(server: asyncio.Server) -> None:
    server.close()


def _relay(open_other: Callable[[], Awaitable[Streams]]) -> Callable[..., Awaitable[None]]:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            # Who has said all may still listen: the other end is told that no more comes, and is heard to its end.
            writer.write_eof()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await open_other()
        except (OSError, EngineError):
            writer.close()
            return
        try:
            await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            other_writer.close()

    return handle


async def _run(solver: Solver, service: Service, stack: contextlib.AsyncExitStack) -> Running:
    from engine.steps import environment_of, prepare, sweep

    box = service.container
    assert box is not None
    root = await solver.solve(box.root)
    sources = {m.at: await solver.solve(m.op) for m in box.mounts if m.op is not None}
    hosts = await stack.enter_async_context(bound(solver, box.services))
    place = await stack.enter_async_context(solver.network.place()) if networked(box) else SHARED
    if place is SHARED:
        for port in service.ports:
            if port.protocol == "TCP" and await _listens(solver, place, port.port):
                raise EngineError(f"port {port.port} is in use on this machine, and the service needs it")
    uid, gid, groups = user_of(solver.store, solver.trees, root, box.user)
    name = name_of(service)
    hosts += [*named(solver), (name, place.address)]
    work = solver.store.folder()
    stack.push_async_callback(asyncio.to_thread, sweep, work)
    mounts, _, _ = await prepare(solver, box, root, sources, work, place, hosts)
    running = Running(name, place, list(service.ports), stack)
    scrubber = Scrubber([solver.secrets.value(s) for _, s in box.secret_env])
    shown = " ".join(service.args)[:80]

    def tell(chunk: bytes) -> None:
        text = scrubber.feed(chunk)
        running.output.append(text)
        del running.output[:-200]
        solver.on_event(Event("output", "", shown, text=text.decode(errors="replace")))

    command = sandbox.Command(
        service.args,
        {"HOME": home_of(solver.store, solver.trees, root, uid), **environment_of(solver, box)},
        box.workdir or "/",
        mounts,
        uid,
        gid,
        groups,
        network=networked(box),
        namespace=place.namespace,
        hostname=name,
    )
    tools = await solver.tools()
    task = asyncio.ensure_future(sandbox.run(tools, command, replace(limits.from_environment(), seconds=0), tell))
    stack.push_async_callback(_ended, task)
    try:
        async with asyncio.timeout(_PATIENCE):
            for port in service.ports:
                if port.protocol != "TCP" or port.experimental_skip_healthcheck:
                    continue
                while not await _listens(solver, place, port.port):
                    if task.done():
                        outcome = task.result()
                        said = b"".join(running.output).decode(errors="replace")
                        why = f"exit code: {outcome.exit_code}"
                        raise ExecFailed(service.args, outcome.exit_code or 0, "", said, why)
                    await asyncio.sleep(0.02)
    except TimeoutError:
        raise EngineError(f"the service {shown!r} did not listen within {_PATIENCE:.0f} s") from None
    return running


async def _ended(task: asyncio.Task[sandbox.Outcome]) -> None:
    task.cancel()
    with contextlib.suppress(BaseException):
        await task


async def _listens(solver: Solver, place: Place, port: int) -> bool:
    try:
        _, writer = await solver.network.connection(place, port)
    except OSError:
        return False
    writer.close()
    return True
