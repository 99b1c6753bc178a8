"""/v1/orders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.datastructures import MutableHeaders

from cift.api import problems, render, schemas
from cift.api.context import Context, Ports, context
from cift.api.cursor import Cursor, cursor, following
from cift.api.security import Reader, Trader, admitted, limit
from cift.api.strict import Handler, StrictRoute
from cift.domain.instruments import instrument
from cift.domain.ledger import Order
from cift.use_cases import orders
from cift.use_cases.freshness import caught_up
from cift.use_cases.orders import Failure, NotFound, Ticket

router = APIRouter(prefix="/v1/orders", tags=["orders"], route_class=StrictRoute)


class _Number(IntegerConvertor):
    """Starlette's own fails on digits by the thousand."""

    regex = "[0-9]{1,40}"


register_url_convertor("number", _Number())
OrderId = Annotated[int, Path(ge=1, lt=2**63)]
ClientOrderId = Annotated[str, Path(pattern=r"^~?[A-Za-z0-9_.:\-]{1,36}$", max_length=36)]
_BAD = problems.responses(400, 401, 403, 413, 415, 422, 429, 503)
_BAD_ORDER = problems.responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 503)


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON without a second validation: what is rendered here is what the schema says (a test sees to it)."""
    return Response(json.dumps(body), status, headers, "application/json")


class _PlaceRoute(StrictRoute):
    """Who asks is settled before FastAPI looks: its own way to what a route depends on takes longer than all that an order needs."""

    async def answer(self, request: Request, handle: Handler) -> Response:
        headers = MutableHeaders()
        request.state.trader = await admitted(request, await context(request), "trade", headers)
        response = await handle(request)
        response.headers.update(headers)
        return response


async def place(new: schemas.NewOrder, request: Request) -> Response:
    """Place an order. 201 and the order with its trades; 200 if it came before under the same `client_order_id`."""
    ports, trader = await context(request), request.state.trader
    done = await orders.place(ports.venue, trader.account, _ticket(new))
    return answer(render.placed(done), 200 if done.duplicate else 201)


router.add_api_route(
    "",
    place,
    methods=["POST"],
    status_code=201,
    response_model=schemas.Placed,
    responses={**_BAD_ORDER, 200: {"model": schemas.Placed}},
    route_class_override=_PlaceRoute,
)


@router.post("/batch", response_model=schemas.BatchResult, responses=_BAD)
async def place_many(new: schemas.NewOrders, trader: Trader, ports: Ports, response: Response) -> Response:
    """Place up to 50 orders in one go, each for itself."""
    limit(ports, response.headers, trader.bucket, len(new.orders) - 1)
    done = await orders.place_many(ports.venue, trader.account, [_ticket(one) for one in new.orders])
    results = [problems.of_error(r.error) if isinstance(r, Failure) else render.placed(r) for r in done]
    return answer({"results": results}, headers=response.headers)


@router.get("", response_model=schemas.Orders, responses=_BAD)
async def listed(
    reader: Reader,
    ports: Ports,
    response: Response,
    symbol: Annotated[str | None, Query(max_length=32, examples=["CIFT-USD"])] = None,
    status: Literal["open", "done"] | None = None,
    before: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """The account's orders, newest first."""
    number = instrument(symbol).number if symbol is not None else 0
    await caught_up(ports.venue, ports.history)
    live = None if status is None else status == "open"
    found = await ports.history.orders(reader.account, number, live, cursor(before), limit)
    after = following(found[-1].id if len(found) == limit else None)
    return answer({"orders": [render.order(o) for o in found], "next_cursor": after}, headers=response.headers)


@router.delete("", response_model=schemas.Cancelled, responses=_BAD)
async def cancel_all(
    trader: Trader,
    ports: Ports,
    response: Response,
    symbol: Annotated[str | None, Query(max_length=32, examples=["CIFT-USD"])] = None,
    side: schemas.Side | None = None,
) -> Response:
    """Cancel all live orders of the account, or those of one symbol or side."""
    traded = instrument(symbol) if symbol is not None else None
    gone = await orders.cancel_all(ports.venue, trader.account, traded, side)
    return answer({"cancelled": gone}, headers=response.headers)


@router.get("/by-client-id/{client_order_id}", response_model=schemas.Order, responses=_BAD_ORDER)
async def by_client_id(client_order_id: ClientOrderId, reader: Reader, ports: Ports, response: Response) -> Response:
    """The order that came under a client order id: how a client learns what became of a request that was cut off."""
    found = await orders.find(ports.venue, reader.account, client_order_id=client_order_id)
    if found is None:
        found = await ports.history.order(reader.account, None, client_order_id)
    return answer(_known(found, client_order_id), headers=response.headers)


@router.delete("/by-client-id/{client_order_id}", response_model=schemas.Order, responses=_BAD_ORDER)
async def cancel_by_client_id(
    client_order_id: ClientOrderId, trader: Trader, ports: Ports, response: Response
) -> Response:
    """Cancel by client order id."""
    done = await orders.cancel(ports.venue, trader.account, client_order_id=client_order_id)
    return answer(render.order(done), headers=response.headers)


@router.get("/{order_id:number}", response_model=schemas.Order, responses=_BAD_ORDER)
async def by_id(order_id: OrderId, reader: Reader, ports: Ports, response: Response) -> Response:
    """One order."""
    return answer(_known(await _find(ports, reader.account, order_id), order_id), headers=response.headers)


@router.patch("/{order_id:number}", response_model=schemas.Order, responses=_BAD_ORDER)
async def change(order_id: OrderId, new: schemas.Change, trader: Trader, ports: Ports, response: Response) -> Response:
    """Cancel-replace: priority is kept only when quantity falls and nothing else changes."""
    found = await orders.find(ports.venue, trader.account, order_id=order_id)
    if found is None:
        raise NotFound(f"this account has no order {order_id}")
    done = await orders.replace(ports.venue, trader.account, found, new.quantity, new.price, new.stop_price)
    return answer(render.order(done), headers=response.headers)


@router.delete("/{order_id:number}", response_model=schemas.Order, responses=_BAD_ORDER)
async def cancel(order_id: OrderId, trader: Trader, ports: Ports, response: Response) -> Response:
    """Cancel an order; again is no error."""
    done = await orders.cancel(ports.venue, trader.account, order_id)
    return answer(render.order(done), headers=response.headers)


async def _find(ports: Context, account: int, order_id: int) -> Order | None:
    found = await orders.find(ports.venue, account, order_id=order_id)
    return found if found is not None else await ports.history.order(account, order_id, None)


def _known(found: Order | None, name: object) -> dict[str, Any]:
    if found is None:
        raise NotFound(f"this account has no order {name}")
    return render.order(found)


def _ticket(new: schemas.NewOrder) -> Ticket:
    return Ticket(**{name: getattr(new, name) for name in schemas.NewOrder.model_fields})
