"""What turns features into a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cift.domain.forecast import Forecast


class Forecaster(Protocol):
    """A trained model. ``name`` tells which, ``device`` what computes."""

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    def forecast(self, features: Sequence[float]) -> Forecast:
        """The forecast for `cift.domain.forecast.FEATURES`."""
