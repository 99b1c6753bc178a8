"""Bodies as they must be: JSON by their content type, and no name twice in one object (RFC 8259, section 4, leaves it open)."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

_JSON = "application/json"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise HTTPException(400, f"the body has {twice[:40]!r} twice in one object")
    return found


def _no_number(text: str) -> Any:
    raise HTTPException(400, f"the body is no JSON: {text} is no number")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)


class StrictRequest(Request):
    """A request whose body, if there is one, is JSON in UTF-8."""

    async def body(self) -> bytes:
        data = await super().body()
        if data:
            kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != _JSON:
                raise HTTPException(415, f"content-type: is {kind[:40] or 'missing'}; a body must be {_JSON}")
        return data

    async def json(self) -> Any:
        try:
            return _decoder.decode((await self.body()).decode())
        except UnicodeDecodeError as error:
            raise HTTPException(400, f"the body is not UTF-8: byte {error.start}") from None
        except json.JSONDecodeError:
            raise
        except ValueError:
            raise HTTPException(400, "the body has a number of thousands of digits") from None
        except RecursionError:
            raise HTTPException(400, "the body is nested too deeply") from None


class StrictRoute(APIRoute):
    """A route that reads such bodies alone."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await self.answer(StrictRequest(request.scope, request.receive), handle)

        return strict

    async def answer(self, request: Request, handle: Handler) -> Response:
        return await handle(request)
