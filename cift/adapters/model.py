"""The trained model that comes with the service: a small perceptron in safetensors, run by torch where that is installed.

torch may be imported before a worker is forked, but CUDA must not be touched before (a forked process cannot use it then):
:func:`load` reads and imports, the device is chosen by :meth:`Model.settled` in the worker.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cift.domain.forecast import FEATURES, HORIZON, TARGETS, WINDOW, Forecast

if TYPE_CHECKING:
    import torch

FILE = Path(__file__).resolve().parent.parent / "models/forecast.safetensors"
LAYERS = 3
OFF = "forecasts are off: torch and safetensors are not installed here; the images of a variant with them (ml-cpu, ml-cuda) answer"
UNWANTED = "forecasts are off: CIFT_FORECAST says so"

log = logging.getLogger("cift.forecasts")


def described() -> dict[str, Any]:
    """What the model's file has to say that it was made for, beside its name."""
    return {"features": list(FEATURES), "horizon": HORIZON, "targets": list(TARGETS), "window": WINDOW}


class Model:
    """Implements the `Forecaster` port."""

    def __init__(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        import torch

        self._torch, self._tensors, self._name, self._device = torch, tensors, name, "cpu"

    @property
    def name(self) -> str:
        return self._name

    @property
    def device(self) -> str:
        return self._device

    def settled(self) -> Model:
        """On the GPU if there is one; one thread on the CPU, as for so small a model more would only wait for each other."""
        if self._torch.cuda.is_available():
            self._device = "cuda"
            self._tensors = {name: tensor.to("cuda") for name, tensor in self._tensors.items()}
        else:
            self._torch.set_num_threads(1)
        return self

    def forecast(self, features: Sequence[float]) -> Forecast:
        with self._torch.inference_mode():
            given = self._torch.tensor(features, dtype=self._torch.float32, device=self._device)
            move, flow = evaluated(self._tensors, given).tolist()
        return Forecast(move, flow)


def evaluated(tensors: dict[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    """The targets for features (…, 13), both in their own units: standardised and cut, tanh layers, scaled back."""
    state = ((features - tensors["mean"]) / tensors["scale"]).clamp(-5, 5)
    for number in range(LAYERS):
        state = state @ tensors[f"{number}.weight"].T + tensors[f"{number}.bias"]
        if number < LAYERS - 1:
            state = state.tanh()
    return state * tensors["target_scale"] + tensors["target_mean"]


def load(wanted: bool = True, file: Path = FILE) -> tuple[Model | None, str]:
    """The model, or None and why there is none. A file that cannot be used is no reason not to trade."""
    if not wanted:
        return None, UNWANTED
    if find_spec("torch") is None or find_spec("safetensors") is None:
        return None, OFF
    try:
        from safetensors import safe_open

        with safe_open(file, framework="pt") as opened:
            about = json.loads((opened.metadata() or {}).get("cift", "{}"))
            if {key: about.get(key) for key in described()} != described():
                raise ValueError("it was made for other features; train it again")
            names = opened.keys()
            tensors = {name: opened.get_tensor(name) for name in names}
        return Model(str(about["name"]), tensors), ""
    except Exception as error:  # torch and safetensors have families of errors of their own
        log.exception("the model %s cannot be used", file)
        return None, f"forecasts are off: the model cannot be used: {error}"
