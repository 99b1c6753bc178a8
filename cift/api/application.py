"""The FastAPI application over given ports; `main` is where they are made."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from cift import __version__
from cift.api import account, forecast, market, operations, orders, page, problems, stream
from cift.api.context import Context
from cift.api.edge import Edge
from cift.api.metrics import Metrics
from cift.settings import Settings
from cift.use_cases.access import KEY, NONCE, SIGNATURE, TIME

DESCRIPTION = """
A trading venue. Decimals are strings. Errors are `application/problem+json` (RFC 9457).

**Retries.** Give every order a `client_order_id`: sent again, it is taken once. After a connection that broke,
`GET /v1/orders/by-client-id/{client_order_id}` tells what became of it.

**Signing.** With API keys configured, requests carry `CIFT-KEY`, `CIFT-TIMESTAMP` (milliseconds), `CIFT-NONCE` (8 to 64
characters, never used before) and `CIFT-SIGNATURE`: HMAC-SHA256 in hex, under the key's secret, of timestamp, nonce,
method, path with query, and SHA-256 of the body in hex, joined by line feeds. Without keys, the demo account is open.

**Live data** comes over the WebSocket `/v1/stream`: {"op": "subscribe", "channel": "book", "symbol": "CIFT-USD"}.
"""

log = logging.getLogger("cift.api")

Ports = Callable[[], AbstractAsyncContextManager[Context]]


def _exports_telemetry() -> bool:
    """Whether FastAPI may export as OTEL_EXPORTER_OTLP_ENDPOINT says: without the SDK it would not start at all."""
    try:
        found = find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        found = False
    wanted = [name for name in os.environ if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("ENDPOINT")]
    if wanted and not found:
        log.warning(
            "%s is set, but nothing is exported: the exporter is not installed, see requirements/telemetry.in",
            wanted[0],
        )
    return found


_SIGNED = ("/v1/orders", "/v1/account")


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: FastAPI's, and how requests are signed, which no dependency of the routes tells it."""
    known = app.openapi_schema is not None
    document = FastAPI.openapi(app)
    if not known:
        schemes = {
            name: {"type": "apiKey", "in": "header", "name": name.upper()} for name in (KEY, TIME, NONCE, SIGNATURE)
        }
        document["components"]["securitySchemes"] = schemes
        for path, operations in document["paths"].items():
            if path.startswith(_SIGNED):
                for operation in operations.values():
                    operation["security"] = [
                        {name: [] for name in schemes},
                        {},
                    ]  # without keys, the demo account is open
    return document


def create(settings: Settings, ports: Ports, metrics: Metrics) -> FastAPI:
    """The application; ``ports`` is entered when a worker starts and left when it has drained."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with ports() as context:
            app.state.context = context
            yield

    app = FastAPI(
        title="CIFT Markets",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        telemetry={"auto_configure": _exports_telemetry()},
        # FastAPI's pages run scripts from a network of others, of no fixed version, beside the demo account.
        docs_url=None,
        redoc_url=None,
    )
    app.state.metrics = metrics
    routers = (
        orders.router,
        market.router,
        forecast.router,
        account.router,
        operations.router,
        stream.router,
        page.router,
    )
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    for router in routers:
        app.include_router(router)
    problems.install(app, [route for router in routers for route in router.routes if isinstance(route, Route)])
    app.add_middleware(Edge, max_body=settings.max_body, metrics=metrics)
    return app
