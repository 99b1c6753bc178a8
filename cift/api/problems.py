"""Errors as problem+json (RFC 9457): one mapping from this package's exceptions to status and type."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from cift.api import render
from cift.api.schemas import Problem
from cift.errors import CiftError, InvalidInput, Misconfigured, OutcomeUnknown, Unavailable
from cift.logs import request_id
from cift.ports.access import Allowance
from cift.use_cases.access import Forbidden, TooMany, Unauthenticated
from cift.use_cases.forecasts import ForecastsOff
from cift.use_cases.orders import NotFound, Refused

log = logging.getLogger("cift.api")
MEDIA_TYPE = "application/problem+json"

_KINDS: tuple[tuple[type[CiftError], int, str], ...] = (
    (InvalidInput, 422, "invalid-input"),
    (Unauthenticated, 401, "unauthenticated"),
    (Forbidden, 403, "forbidden"),
    (TooMany, 429, "too-many-requests"),
    (NotFound, 404, "not-found"),
    (Refused, 409, "refused"),
    (OutcomeUnknown, 503, "outcome-unknown"),
    (Unavailable, 503, "unavailable"),
    (ForecastsOff, 404, "forecasts-off"),
    (Misconfigured, 503, "unavailable"),
)
_TITLES = {
    "invalid-input": "A value cannot be used",
    "unauthenticated": "The request is not signed as it must be",
    "forbidden": "The key may not do this",
    "too-many-requests": "Too many requests",
    "not-found": "Not found",
    "refused": "The venue's rules forbid this; nothing was changed",
    "outcome-unknown": "It is not known yet whether this was taken: ask by client_order_id, or send it again",
    "unavailable": "Nothing was taken; try again",
    "forecasts-off": "This installation makes no forecasts",
}


def _phrase(status: int) -> str:
    """As RFC 9110 has it, whatever the release of Python."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(status) or HTTPStatus(status).phrase


def document(status: int, kind: str, detail: str, **more: Any) -> dict[str, Any]:
    title = _TITLES.get(kind) or _phrase(status)
    body = {"type": f"urn:cift:problem:{kind}", "title": title, "status": status, "detail": detail, **more}
    if request := request_id.get():
        body["request_id"] = request
    return body


def of_status(status: int, detail: str) -> dict[str, Any]:
    """The problem that is nothing but its HTTP status."""
    return document(status, _phrase(status).lower().replace(" ", "-"), detail)


def response(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(body), body["status"], headers, MEDIA_TYPE)


def of_error(error: CiftError) -> dict[str, Any]:
    """The problem document of one of this package's errors."""
    known = next(((status, name) for kind, status, name in _KINDS if isinstance(error, kind)), None)
    if known is None:
        raise error
    status, name = known
    if isinstance(error, Refused):
        more: dict[str, Any] = {"reason": error.reason.name.lower()}
        if error.order is not None:
            more["order"] = render.order(error.order)
        return document(status, name, str(error), **more)
    return document(status, name, str(error))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: these statuses are answered with a problem."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s: {"model": Problem, "description": _phrase(s), "content": content} for s in statuses}


def rate_headers(allowance: Allowance) -> dict[str, str]:
    if not allowance.limit:
        return {}
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": f"{allowance.retry_after:.3f}",
    }


def _allowed(path: str, routes: Sequence[Route]) -> str:
    """All methods that a path has: the router names only those of the first route that fits (RFC 9110, section 10.2.1)."""
    return ", ".join(sorted({m for route in routes if route.path_regex.match(path) for m in route.methods or ()}))


def install(app: FastAPI, routes: Sequence[Route]) -> None:
    """Have every error of the application answered as a problem."""

    @app.exception_handler(CiftError)
    async def ours(request: Request, error: CiftError) -> Response:
        headers = {}
        if isinstance(error, TooMany):
            headers = {
                "Retry-After": str(max(1, math.ceil(error.allowance.retry_after))),
                **rate_headers(error.allowance),
            }
        if isinstance(error, Unauthenticated):
            headers["WWW-Authenticate"] = 'CIFT-HMAC-SHA256 realm="cift"'
        if isinstance(error, Misconfigured):
            log.error("%s", error)
            error = Unavailable("the venue's API keys cannot be read; its operator has to see to it")
        if isinstance(error, Unavailable | OutcomeUnknown):
            headers["Retry-After"] = "1"
        return response(of_error(error), headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "body"
        if first["type"] == "json_invalid":
            return response(document(400, "malformed", f"the body is no JSON: {first['ctx']['error']}"))
        return response(document(422, "invalid-input", f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405 and (allowed := _allowed(request.scope["path"], routes)):
            headers["Allow"] = allowed
        return response(of_status(error.status_code, str(error.detail)), headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        return response(document(500, "internal", "this is our fault; the log has it under the request id"))
