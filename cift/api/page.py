"""The page at /: files of this package, no build step, nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

router = APIRouter(include_in_schema=False)
_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_FILES = {"index.html", "style.css", "app.js"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/")
async def index() -> Response:
    return _file("index.html")


@router.get("/page/{name}")
async def file(name: str) -> Response:
    if name not in _FILES:
        raise HTTPException(404, "there is no such file")
    return _file(name)


def _file(name: str) -> Response:
    data = files("cift.api").joinpath("static", name).read_bytes()
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    return Response(data, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])
