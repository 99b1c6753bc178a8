"""The limit of the frame: a FastAPI route that parses the same order and answers at once."""

from __future__ import annotations

import json

from fastapi import FastAPI, Response

from cift.api.schemas import NewOrder

app = FastAPI(openapi_url=None)
_ANSWER = {"id": 1, "status": "open", "filled": "0.000", "remaining": "1.000", "average_price": None, "trades": []}


@app.get("/ready")
async def ready() -> Response:
    return Response("{}", media_type="application/json")


@app.post("/v1/orders", status_code=201)
async def place(new: NewOrder) -> Response:
    return Response(json.dumps({**_ANSWER, "symbol": new.symbol, "side": new.side}), 201, media_type="application/json")
