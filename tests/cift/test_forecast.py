"""Forecasts: the features' arithmetic by hand, the shipped weights against markets that they have not seen, and the route."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import struct
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest

from cift.adapters import model
from cift.adapters.client import MatcherClient
from cift.domain.forecast import FEATURES, HORIZON, TARGETS, WINDOW, Flow, Forecast, imbalance
from cift.domain.instruments import INSTRUMENTS
from cift.domain.market import BookView
from cift.domain.records import Event, EventKind, Side
from cift.errors import Unavailable
from cift.settings import Settings
from cift.use_cases.forecasts import Forecasts, ForecastsOff, Made
from tests.cift.conftest import Service, problem
from training import samples, tape

CIFT = INSTRUMENTS["CIFT-USD"]
TORCH = find_spec("torch") is not None


def level(side: int, price: int, quantity: int, kind: int = EventKind.RESTED, /, **more: int) -> Event:
    """An event that leaves a level as it says."""
    fields = dict.fromkeys(Event._fields, 0) | {"sequence": 1, "instrument": 1, "kind": kind, "level_side": side}
    return Event(**(fields | {"level_price": price, "level_quantity": quantity, "level_orders": 1} | more))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ((100, 7, 102, 5), 2),  # two more lots to buy at the best bid
        ((100, 5, 102, 8), -3),  # three more to sell at the best ask
        ((101, 4, 102, 5), 4),  # a better bid: all of it counts
        ((99, 9, 102, 5), -5),  # the best bid is gone
        ((100, 5, 101, 6), -6),  # a better ask
        ((100, 5, 103, 6), 5),  # the best ask is gone
    ],
)
def test_order_flow_imbalance_is_that_of_the_paper(after: tuple[int, int, int, int], expected: float) -> None:
    assert imbalance((100, 5, 102, 5), after) == expected


def test_a_flow_has_features_after_a_window_of_steps_and_begins_anew_when_a_side_is_empty() -> None:
    flow = Flow(BookView(0, [(100, 10, 1)], [(102, 10, 1)]))
    assert not flow.take([level(0, 0, 0, EventKind.REJECTED)])
    for number in range(WINDOW + 1):
        assert flow.features() is None and flow.missing == WINDOW + 1 - number
        assert flow.take([level(Side.BUY, 100, 11 + number)])
    features = dict(zip(FEATURES, flow.features() or (), strict=True))
    depth = sum((11 + n + 10) / 2 for n in range(WINDOW + 1)) / (WINDOW + 1)
    assert features["flow_5"] == pytest.approx(5 / depth) and features["flow_50"] == pytest.approx(50 / depth)
    assert features["spread"] == pytest.approx(200) and features["move_50"] == features["volatility_50"] == 0
    assert features["imbalance_1"] == features["imbalance_5"] == pytest.approx((61 - 10) / 71)
    assert features["microprice"] == pytest.approx(((100 * 10 + 102 * 61) / 71 - 101) / 101 * 10_000)

    trade = level(Side.SELL, 102, 7, EventKind.TRADE, side=Side.BUY, quantity=3)
    assert flow.take([trade]) and flow.last.trades == 3 and flow.last.flow == 3
    assert not flow.take([level(Side.SELL, 102, 0)])
    assert flow.features() is None and flow.missing == WINDOW + 1


def test_the_same_seed_makes_the_same_tape_and_another_seed_another() -> None:
    one, again, other = (list(tape.commands(CIFT, seed, 40)) for seed in (5, 5, 6))
    assert one == again and one != other
    assert {event.kind for events in one for event in events} >= {
        EventKind.ACCEPTED,
        EventKind.TRADE,
        EventKind.CANCELED,
    }


def test_a_sample_tells_what_the_horizon_brought() -> None:
    found = samples.of(tape.steps(CIFT, 5, 60))
    mids, flow = [], Flow(BookView(0, (), ()))
    rows: dict[tuple[float, ...], int] = {}
    for events in tape.steps(CIFT, 5, 60):
        if flow.take(events):
            mids.append(flow.last.mid)
            if (row := flow.features()) is not None:
                rows[row] = len(mids)
    assert len(found.features) > 20
    for features, (move, _) in zip(found.features, found.targets, strict=True):
        at = rows[features]
        assert move == pytest.approx((mids[at + HORIZON - 1] - mids[at - 1]) / mids[at - 1] * 10_000)


def shipped() -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights that ship, read without safetensors (its format: length, header, bytes), and the card."""
    if not model.FILE.exists():
        pytest.skip("no weights have been trained: make train")
    data = model.FILE.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    tensors: dict[str, Any] = {"about": json.loads(header.pop("__metadata__")["cift"])}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        flat = list(struct.unpack(f"<{(end - start) // 4}f", data[start:end]))
        width = entry["shape"][-1]
        tensors[name] = [flat[n : n + width] for n in range(0, len(flat), width)] if len(entry["shape"]) > 1 else flat
    card = json.loads(model.FILE.with_name("forecast.modelcard.json").read_text())
    assert card["hashes"][0]["content"] == hashlib.sha256(data).hexdigest()
    return tensors, card


def forecast(tensors: dict[str, Any], features: tuple[float, ...]) -> list[float]:
    """The perceptron, in Python alone."""
    given = zip(features, tensors["mean"], tensors["scale"], strict=True)
    state = [max(-5.0, min(5.0, (value - mean) / scale)) for value, mean, scale in given]
    for number in range(model.LAYERS):
        rows = zip(tensors[f"{number}.weight"], tensors[f"{number}.bias"], strict=True)
        state = [sum(w * s for w, s in zip(row, state, strict=True)) + bias for row, bias in rows]
        state = [math.tanh(value) for value in state] if number < model.LAYERS - 1 else state
    scaled = zip(state, tensors["target_scale"], tensors["target_mean"], strict=True)
    return [value * scale + mean for value, scale, mean in scaled]


def test_the_weights_were_made_for_these_features_and_say_so() -> None:
    tensors, card = shipped()
    assert {key: tensors["about"][key] for key in model.described()} == model.described()
    assert tensors["about"]["name"] == f"{card['name']}-{card['version']}"


def test_the_shipped_weights_err_on_unseen_markets_as_their_card_says() -> None:
    tensors, card = shipped()
    unseen = samples.market(INSTRUMENTS.values(), [977], 300)
    guesses = [forecast(tensors, row) for row in unseen.features]
    metrics = {
        each["type"]: float(each["value"]) for each in card["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    for column, target in enumerate(TARGETS):

        def error(values: list[float], column: int = column) -> float:
            pairs = zip(values, unseen.targets, strict=True)
            return math.sqrt(sum((guess - row[column]) ** 2 for guess, row in pairs) / len(values))

        ours = error([guess[column] for guess in guesses])
        nothing = error([tensors["target_mean"][column]] * len(guesses))
        claimed = metrics[f"{target} RMSE, model"] / metrics[f"{target} RMSE, nothing changes"]
        assert ours / nothing == pytest.approx(claimed, abs=0.12), target


@pytest.mark.skipif(not TORCH, reason="torch is not installed here; the ml variants have it")
def test_torch_and_plain_python_give_the_same_forecast() -> None:
    tensors, _ = shipped()
    loaded, off = model.load()
    assert loaded is not None and not off
    for row in islice(samples.of(tape.steps(CIFT, 5, 60)).features, 20):
        assert list(loaded.settled().forecast(row)) == pytest.approx(forecast(tensors, row), rel=1e-3, abs=1e-3)


def test_a_model_for_other_features_is_not_used_and_the_reason_is_kept(tmp_path: Path) -> None:
    (tmp_path / "odd.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    loaded, off = model.load(file=tmp_path / "odd.safetensors")
    assert loaded is None and off.startswith("forecasts are off:")
    assert model.load(wanted=False) == (None, model.UNWANTED)


@pytest.mark.skipif(TORCH, reason="torch is installed here, and forecasts are on")
def test_without_torch_the_route_says_that_forecasts_are_off(shared: Service) -> None:
    body = problem(shared.http.get("/v1/forecast/CIFT-USD"), 404)
    assert (
        body["type"] == "urn:cift:problem:forecasts-off" and "torch and safetensors are not installed" in body["detail"]
    )
    problem(shared.http.get("/v1/forecast/NONE-USD"), 422)
    documented = shared.get("/openapi.json")["paths"]["/v1/forecast/{symbol}"]["get"]["responses"]
    assert {"200", "404"} <= set(documented)


class _Plain:
    """A forecaster without torch: it says what it saw."""

    name, device = "plain", "cpu"

    def forecast(self, features: Sequence[float]) -> Forecast:
        return Forecast(features[0], features[1])


def test_a_worker_that_follows_the_venue_has_a_forecast_as_soon_as_enough_has_happened(
    launch: Callable[..., Service],
) -> None:
    service = launch(1)

    async def follow() -> Made:
        venue = MatcherClient(Settings.of_environment(service.environ).runtime)
        await venue.start()
        forecasts = Forecasts(venue, _Plain())
        forecasts.start()
        try:
            with pytest.raises(Unavailable, match=f"needs {WINDOW + 1} changes of the book in a row, and 0 were seen"):
                forecasts.of(CIFT.number)
            while forecasts.loaded < len(INSTRUMENTS):
                await asyncio.sleep(0.02)
            for number in range(WINDOW + 3):
                side, price = ("buy", f"{90 + number % 5}.00") if number % 2 else ("sell", f"{101 + number % 5}.00")
                placed = await asyncio.to_thread(service.order, side=side, price=price)
                assert placed.status_code == 201, placed.text
            async with asyncio.timeout(10):
                while True:
                    try:
                        return forecasts.of(CIFT.number)
                    except Unavailable:
                        await asyncio.sleep(0.02)
        finally:
            await forecasts.stop()
            await venue.stop()

    made = asyncio.run(follow())
    book = service.get("/v1/book/CIFT-USD")
    bid, ask = (float(book[side][0]["price"]) for side in ("bids", "asks"))
    assert (made.mid, made.model, made.device) == ((bid + ask) * 50, "plain", "cpu")
    assert made.forecast.move == pytest.approx((ask - bid) / bid * 10_000)
    assert made.sequence <= book["sequence"]
    with pytest.raises(ForecastsOff, match="no torch here"):
        Forecasts(cast(Any, None), None, "no torch here").of(1)
