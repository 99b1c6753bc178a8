"""Who is asking: FastAPI's side of `cift.use_cases.access`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.responses import Response

from cift.api.context import Context, Ports
from cift.api.problems import rate_headers
from cift.errors import InvalidInput
from cift.ports.access import SCOPES
from cift.use_cases import access
from cift.use_cases.access import Principal, TooMany

DEMO_HEADER = "cift-demo-account"
_DEMO_ACCOUNTS = {"demo": 1, **{f"demo-{n}": n for n in range(2, 10)}}


def demo(name: str | None) -> Principal:
    """The demo account, or one of its eight siblings by name (so that a simulator can trade with itself)."""
    number = _DEMO_ACCOUNTS.get(name or "demo")
    if number is None:
        raise InvalidInput(f"{DEMO_HEADER}: {name!r} is none of demo, demo-2 to demo-9"[:120])
    return Principal(number, name or "demo", frozenset(SCOPES), f"demo:{number}")


async def _principal(request: Request, ports: Context) -> Principal:
    if not ports.keys.any():
        return demo(request.headers.get(DEMO_HEADER))
    raw, query = request.scope["raw_path"], request.scope["query_string"]
    target = raw.decode("ascii", "replace") + (f"?{query.decode('ascii', 'replace')}" if query else "")
    return access.authenticate(
        ports.keys,
        ports.admission,
        request.headers,
        request.method,
        target,
        await request.body(),
        time.time(),
        ports.settings.clock_skew,
    )


def limit(ports: Context, headers: MutableHeaders, bucket: str, cost: int = 1) -> None:
    """Count a request, say so in the answer's headers, and raise TooMany where there were too many."""
    allowance = ports.admission.spend(bucket, cost)
    headers.update(rate_headers(allowance))
    if not allowance.allowed:
        raise TooMany(f"at most {ports.settings.rate:g} requests per second for this key", allowance)


async def admitted(request: Request, ports: Context, scope: str, headers: MutableHeaders) -> Principal:
    """The principal, if it has the scope and has not asked too often."""
    found = await _principal(request, ports)
    access.require(found, scope)
    limit(ports, headers, found.bucket)
    return found


def scoped(scope: str) -> Callable[[Request, Response, Context], Awaitable[Principal]]:
    """A dependency: see `admitted`."""

    async def principal(request: Request, response: Response, ports: Ports) -> Principal:
        return await admitted(request, ports, scope, response.headers)

    return principal


async def anybody(request: Request, response: Response, ports: Ports) -> None:
    """Public data: counted by the client's address."""
    limit(ports, response.headers, f"address:{request.client.host if request.client else ''}")


Reader = Annotated[Principal, Depends(scoped("read"))]
Trader = Annotated[Principal, Depends(scoped("trade"))]
Public = Depends(anybody)
