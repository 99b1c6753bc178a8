"""For operators: live, ready, metrics."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter, Request, Response

from cift import __version__
from cift.api import metrics, problems, schemas
from cift.api.context import Ports
from cift.errors import CiftError

_PATIENCE = 2.0
"""Seconds that /ready waits for the matcher, and for the read model."""

router = APIRouter(tags=["operations"])


@router.get("/health", response_model=schemas.Health)
async def health() -> Response:
    """Live: this worker answers. Restart it if it does not."""
    return Response(json.dumps({"status": "ok", "version": __version__}), media_type="application/json")


@router.get("/ready", response_model=schemas.Ready, responses={503: {"model": schemas.Ready}})
async def ready(request: Request, ports: Ports) -> Response:
    """Ready: orders are taken. `durable` tells whether acknowledged orders outlive a restart of the machine.

    What only reads (the read model) is told of but does not make the service unready: orders go on without it.
    """
    details: dict[str, object] = {}
    good = True
    try:
        async with asyncio.timeout(_PATIENCE):
            now = await ports.venue.ask("ping")
        details["matcher"] = now["trouble"] or "ok"
        details["durable"] = now["durable"]
        details["sequence"] = now["sequence"]
        good = not now["trouble"]
    except TimeoutError:
        details["matcher"], good = ports.venue.trouble() or f"has not answered within {_PATIENCE:g} s", False
    except CiftError as error:
        details["matcher"], good = str(error), False
    try:
        ports.keys.any()
    except CiftError:
        details["keys"], good = "cannot be read; the log says why", False
    if request.scope.get("state", {}).get("draining"):
        details["worker"], good = "is ending", False
    try:
        async with asyncio.timeout(_PATIENCE):
            behind = int(str(details.get("sequence", 0))) - await ports.history.sequence()
        details["read_model"] = "ok" if behind <= 0 else f"{behind} commands behind"
    except TimeoutError:
        details["read_model"] = f"has not answered within {_PATIENCE:g} s"
    except CiftError as error:
        details["read_model"] = str(error)  # orders go on without it
    body = {"status": "ready" if good else "not ready", "details": details}
    return Response(json.dumps(body), 200 if good else 503, media_type="application/json")


@router.get("/metrics", responses={200: {"content": {metrics.MEDIA_TYPE: {}}}, **problems.responses(503)})
async def exposition(request: Request, ports: Ports) -> Response:
    """Prometheus' text format: all workers, and the matcher."""
    counted: metrics.Metrics = request.app.state.metrics
    try:
        async with asyncio.timeout(_PATIENCE):
            matcher = {name: float(value) for name, value in (await ports.venue.ask("statistics")).items()}
    except (CiftError, TimeoutError):
        matcher = {"healthy": 0.0}
    return Response(counted.text(matcher), headers={"content-type": metrics.MEDIA_TYPE})
