"""The network of a session: a namespace and an address for each step and service, and one way out for all.

``engine.wires`` keeps it, in a process that ends with the session. Where a machine does not allow it, steps share the
machine's own network, and one event says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from engine import lifeline, wires
from engine.errors import EngineError
from engine.events import Event
from engine.signals import unblock
from engine.tools import Tools

#: What a helper has to answer in, in seconds; it takes milliseconds where the machine is not overloaded.
_PATIENCE = 30.0
HOST_PORTS = "PIPELINES_HOST_PORTS"
#: Variables that say where a machine's packages come from, and the ports of loopback in their values.
_INDEX = re.compile(r"_proxy$|_index_url$|_mirror$|^goproxy$|^trivy_db_repository$|^(pip|uv|cargo|npm_config)_")
_LOOPBACK = re.compile(r"(?:^|,|//)(?:[^/@\s]*@)?(?:127\.[0-9.]+|localhost|\[::1\]):([0-9]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step or service is: its address, and its namespace, which is None where the machine's is shared."""

    address: str
    namespace: int | None


SHARED = Place("127.0.0.1", None)


class Network:
    """The places of one session. Belongs to one event loop."""

    def __init__(self, tools: Callable[[], Awaitable[Tools]], on_event: Callable[[Event], None]) -> None:
        self._tools, self._on_event = tools, on_event
        self._channel: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._started: asyncio.Future[bool] | None = None
        self._spare: asyncio.Future[Place] | None = None
        self._asking = threading.Lock()

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """A place of one's own."""
        if self._started is None:
            self._started = asyncio.ensure_future(self._start())
        if not await asyncio.shield(self._started):
            yield SHARED
            return
        # The next one is made while this one is in use: a step does not wait for the kernel.
        made, self._spare = self._spare or asyncio.ensure_future(self._place()), None
        try:
            place = await asyncio.shield(made)
        finally:
            self._spare = self._spare or asyncio.ensure_future(self._place()) if made.done() else made
        try:
            yield place
        finally:
            assert place.namespace is not None
            os.close(place.namespace)

    async def socket(self, place: Place) -> socket.socket:
        """A TCP socket at a place, not blocking."""
        if place.namespace is None:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        else:
            _, descriptor = await asyncio.to_thread(self._ask, b"socket", [place.namespace])
            made = socket.socket(fileno=descriptor)
        made.setblocking(False)
        return made

    async def connection(self, place: Place, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to what listens at a place on a port.

        Raises:
            OSError: nothing does.
        """
        made = await self.socket(place)
        try:
            await asyncio.get_running_loop().sock_connect(made, (place.address, port))
            return await asyncio.open_connection(sock=made)
        except BaseException:
            made.close()
            raise

    async def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._spare is not None:
            with contextlib.suppress(OSError, EngineError):
                os.close((await self._spare).namespace or -1)
        if self._process is not None:
            await self._process.wait()

    async def _start(self) -> bool:
        tools = await self._tools()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_PATIENCE)
        # passt ends with the namespace whose first process is the keeper.
        words = [*lifeline.entered(tools), *tools.program("unshare"), "--pid", "--fork", "--kill-child", "--"]
        words += [sys.executable, "-I", "-S"]
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *words,
                wires.__file__,
                *tools.program("passt"),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                start_new_session=True,
                preexec_fn=unblock,
            )
        try:
            answer = await asyncio.to_thread(self._channel.recv, 4096)
        except OSError as error:
            answer = f"!{error}".encode()
        if answer == b"ready":
            return True
        reason = answer[1:].decode(errors="replace") or "the process that would keep it ended"
        text = f"steps share this machine's network, for their own could not be made: {reason}"
        self._on_event(Event("warning", "", "network", text=text))
        return False

    async def _place(self) -> Place:
        return Place(*await asyncio.to_thread(self._ask, b"place", []))

    def _ask(self, question: bytes, given: list[int]) -> tuple[str, int]:
        assert self._channel is not None
        try:
            with self._asking:
                socket.send_fds(self._channel, [question], given)
                # recv_fds knows no flags, and a step started meanwhile would inherit what comes.
                text, rights, _, _ = self._channel.recvmsg(4096, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise EngineError(f"the network of this session ended: {error}") from None
        if not rights:
            raise EngineError(f"no network for a step: {text[1:].decode(errors='replace') or 'its keeper ended'}")
        return text.decode(), int.from_bytes(rights[0][2], sys.byteorder)


def kept(environment: Mapping[str, str] = os.environ) -> list[int]:
    """Ports of the machine's loopback that steps reach on theirs: of its proxies and package indexes, and those that
    ``PIPELINES_HOST_PORTS`` names (``3128,8080``).

    Raises:
        EngineError: it names no ports.
    """
    found = set()
    for name, value in environment.items():
        if _INDEX.search(name.lower()):
            found |= {int(port) for port in _LOOPBACK.findall(value)}
    try:
        return sorted(found | {int(port) for port in environment.get(HOST_PORTS, "").replace(",", " ").split()})
    except ValueError:
        raise EngineError(f"{HOST_PORTS} is not a list of ports: {environment[HOST_PORTS]!r}") from None


def hosts_file(names: Sequence[tuple[str, str]]) -> bytes:
    """``/etc/hosts`` of a step, with ``(name, address)`` of what it can reach."""
    lines = ["127.0.0.1\tlocalhost dagger", "::1\tlocalhost ip6-localhost ip6-loopback"]
    return "".join(f"{line}\n" for line in [*lines, *(f"{ip}\t{name}" for name, ip in dict.fromkeys(names))]).encode()


def resolv_conf(shared: bool) -> bytes:
    """``/etc/resolv.conf`` of a step: the machine's, with servers on loopback asked by way of the network's gateway.

    Raises:
        OSError: the machine has none.
    """
    text = Path("/etc/resolv.conf").read_text()
    return (text if shared else "".join(dict.fromkeys(map(_reached, text.splitlines(keepends=True))))).encode()


def _reached(line: str) -> str:
    words = line.split()
    if words[:1] != ["nameserver"] or len(words) < 2:
        return line
    with contextlib.suppress(ValueError):
        server = ip_address(words[1].partition("%")[0])
        if server.version == 4 and not server.is_loopback:
            return line
    return f"nameserver {wires.GATEWAY}\n"
