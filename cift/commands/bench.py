"""``cift bench``: clients on REST and on WebSockets against a venue, and what they met.

The clients share one Python process, which takes CPU from a venue on the same machine: figures are a lower bound.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cift.commands.http import Client, Login, VenueError


@dataclass(slots=True)
class Met:
    """What the clients met; ``seconds`` of each acknowledged order, messages and closes of the WebSockets."""

    seconds: list[float] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    messages: int = 0
    closed: Counter[str] = field(default_factory=Counter)
    dropped_after: list[float] = field(default_factory=list)
    """Seconds after which the venue had counted each client that it dropped for its slowness."""

    def summary(self, elapsed: float) -> dict[str, object]:
        """Figures by name; times in milliseconds."""
        figures: dict[str, object] = {
            "orders_acknowledged": len(self.seconds),
            "orders_per_second": round(len(self.seconds) / elapsed, 1),
            **{f"p{name}_ms": round(percentile(self.seconds, share) * 1000, 3) for name, share in _SHARES.items()},
            "refused": {str(status): count for status, count in sorted(self.refused.items())},
            "connections_broken": self.broken,
            "messages_received": self.messages,
            "websockets_closed": dict(sorted(self.closed.items())),
            "slow_dropped_after_s": [round(after, 1) for after in self.dropped_after],
        }
        return figures


_SHARES = {"50": 0.5, "99": 0.99, "99.9": 0.999}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed (nearest rank); 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)] if ordered else 0.0


async def _trader(client: Client, symbol: str, until: float, met: Met) -> None:
    """Buys and sells at one price, so that the book stays small however long it goes on."""
    number = 0
    while time.monotonic() < until:
        number += 1
        side = "buy" if number % 2 else "sell"
        order = {
            "symbol": symbol,
            "side": side,
            "price": "100.00",
            "quantity": "1",
            "client_order_id": uuid.uuid4().hex,
        }
        began = time.perf_counter()
        try:
            answer = await client.ask("POST", "/v1/orders", order)
        except (OSError, EOFError):
            met.broken += 1
            await asyncio.sleep(0.05)
            continue
        if answer.status in (200, 201):
            met.seconds.append(time.perf_counter() - began)
        else:
            met.refused[answer.status] += 1
            await asyncio.sleep(min(1.0, answer.retry_after))
    client.close()


async def _listener(url: str, symbol: str, slow: bool, reads_on: asyncio.Event, met: Met) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

    wanted = [json.dumps({"op": "subscribe", "channel": channel, "symbol": symbol}) for channel in ("book", "trades")]
    address = "ws" + url.rstrip("/").removeprefix("http") + "/v1/stream"
    try:
        sock = await _narrow(url) if slow else None
        async with connect(
            address,
            sock=sock,
            max_queue=4 if slow else 1024,
            compression=None,
            ping_interval=None,
            open_timeout=30,
            proxy=None,
        ) as stream:
            for message in wanted:
                await stream.send(message)
            if slow:
                await reads_on.wait()  # nothing until then, when it learns what became of it
            async with asyncio.timeout(5 if slow else None):
                async for _ in stream:
                    met.messages += not slow
            raise ConnectionClosedOK(stream.protocol.close_rcvd, stream.protocol.close_sent)
    except ConnectionClosed as error:  # an iteration hides a close with 1000 or 1001 only
        close = error.rcvd
        met.closed[f"{close.code} {close.reason}" if close else "without a reason"] += 1
    except TimeoutError:
        met.closed["a slow client was not closed"] += 1
    except OSError as error:
        met.closed[f"{type(error).__name__}"] += 1


async def _narrow(url: str) -> socket.socket:
    """A connection that buffers little, so that its owner falls behind as soon as it does not read."""
    parts = urlsplit(url)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, (parts.hostname, parts.port or 80))
    return narrow


async def _dropped(client: Client, before: int, slow: int, reads_on: asyncio.Event, met: Met) -> None:
    """Look on until the venue says that it has dropped as many as are slow, and let these read why."""
    began = time.monotonic()
    while len(met.dropped_after) < slow:
        await asyncio.sleep(0.5)
        with suppress(OSError, EOFError):
            count = await _dropped_so_far(client) - before
            met.dropped_after += [time.monotonic() - began] * (count - len(met.dropped_after))
    reads_on.set()


async def _dropped_so_far(client: Client) -> int:
    found = re.search(
        r'^cift_streams_dropped_total\{reason="slow"\} (\d+)', (await client.ask("GET", "/metrics")).body, re.M
    )
    return int(found[1]) if found else 0


async def load(
    url: str, login: Login | None, symbol: str, clients: int, listeners: int, slow: int, seconds: float
) -> dict[str, object]:
    """Figures of so many clients for so long.

    Raises:
        VenueError: there is no venue.
    """
    probe = Client(url, login)
    try:
        answer = await probe.ask("GET", "/v1/account")
    except (OSError, EOFError):
        raise VenueError(f"{url}: there is no venue; start one: CIFT_RATE=0 cift serve") from None
    if answer.status != 200:
        raise VenueError(f"{url}: {answer.body.get('detail', answer.status)}")
    met, reads_on = Met(), asyncio.Event()
    watching = asyncio.create_task(_dropped(probe, await _dropped_so_far(probe), slow, reads_on, met))
    listening = [asyncio.create_task(_listener(url, symbol, n < slow, reads_on, met)) for n in range(listeners)]
    if listening:
        await asyncio.sleep(min(3.0, 0.5 + listeners / 100))
    began = time.monotonic()
    traders = [_trader(Client(url, login, f"demo-{2 + n % 8}"), symbol, began + seconds, met) for n in range(clients)]
    await asyncio.gather(*traders) if traders else await asyncio.sleep(seconds)
    elapsed = time.monotonic() - began
    watching.cancel()
    reads_on.set()
    for quick in listening[slow:]:
        quick.cancel()
    await asyncio.gather(watching, *listening, return_exceptions=True)
    probe.close()
    return met.summary(elapsed)
