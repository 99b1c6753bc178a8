"""Short-horizon forecasts, where a model and torch are installed."""

from __future__ import annotations

from fastapi import APIRouter, Response

from cift.api import problems, schemas
from cift.api.context import Ports
from cift.api.market import Symbol
from cift.api.orders import answer
from cift.api.security import Public
from cift.domain.forecast import HORIZON
from cift.domain.instruments import instrument

router = APIRouter(
    prefix="/v1", tags=["market data"], dependencies=[Public], responses=problems.responses(400, 404, 422, 429, 503)
)


@router.get("/forecast/{symbol}", response_model=schemas.Forecast)
async def forecast(symbol: Symbol, ports: Ports, response: Response) -> Response:
    """Where the model sees mid-price and order flow go over the next changes of the book. No advice.

    Images without the `ml` extras answer 404 with the type `forecasts-off`.
    """
    made = ports.forecasts.of(instrument(symbol).number)
    body = {
        "symbol": symbol,
        "sequence": made.sequence,
        "horizon": HORIZON,
        "expected_move_bps": round(made.forecast.move, 4),
        "expected_flow": round(made.forecast.flow, 4),
        "model": made.model,
        "device": made.device,
    }
    return answer(body, headers=response.headers)
