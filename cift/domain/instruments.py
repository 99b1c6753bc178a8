"""Instruments, and decimals as whole ticks and lots. Parsed here once; integers everywhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DECIMAL = re.compile(r"(\d{1,12})(?:\.(\d{1,12}))?\Z", re.ASCII)


class InvalidInput(ValueError):
    """A value that a client sent and that cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """A symbol; ``price_places`` and ``quantity_places`` are the decimals of a tick and of a lot."""

    symbol: str
    price_places: int
    quantity_places: int

    def ticks(self, text: str) -> int:
        return _whole(text, self.price_places, "price")

    def lots(self, text: str) -> int:
        return _whole(text, self.quantity_places, "quantity")

    def price(self, ticks: int) -> str:
        return _decimal(ticks, self.price_places)

    def quantity(self, lots: int) -> str:
        return _decimal(lots, self.quantity_places)


INSTRUMENTS = {
    i.symbol: i for i in (Instrument("CIFT-USD", 2, 3), Instrument("BTC-USD", 2, 6), Instrument("ETH-USD", 2, 5))
}


def instrument(symbol: str) -> Instrument:
    """The instrument of a symbol.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return INSTRUMENTS[symbol]
    except KeyError:
        raise InvalidInput(f"symbol: {symbol[:32]!r} is not traded here; see /v1/symbols") from None


def _whole(text: str, places: int, name: str) -> int:
    found = _DECIMAL.match(text)
    if found is None:
        raise InvalidInput(f"{name}: {text[:32]!r} is not a plain positive decimal of at most 12 digits")
    whole, fraction = found[1], (found[2] or "").rstrip("0")
    if len(fraction) > places:
        raise InvalidInput(f"{name}: {text[:32]} is finer than the step {_decimal(1, places)}")
    value = int(whole + fraction.ljust(places, "0"))
    if value == 0:
        raise InvalidInput(f"{name}: must be more than zero")
    if value >= 2**53:
        raise InvalidInput(f"{name}: {text[:32]} is too large")
    return value


def _decimal(value: int, places: int) -> str:
    digits = str(value).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits
