"""Instruments, and decimals as whole ticks and lots. Parsed here once; integers everywhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cift.errors import InvalidInput

_DECIMAL = re.compile(r"(\d{1,12})(?:\.(\d{1,12}))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A symbol; ``price_places`` and ``quantity_places`` are the decimals of a tick and of a lot.

    ``number`` is the core's name for it; ``top`` is the highest price in ticks and ``most`` the largest order in lots.
    """

    number: int
    symbol: str
    price_places: int
    quantity_places: int
    top: int
    most: int

    @property
    def base(self) -> str:
        return self.symbol.partition("-")[0]

    @property
    def quote(self) -> str:
        return self.symbol.partition("-")[2]

    def ticks(self, text: str, name: str = "price") -> int:
        return _whole(text, self.price_places, name, self.top)

    def lots(self, text: str, name: str = "quantity") -> int:
        return _whole(text, self.quantity_places, name, self.most)

    def price(self, ticks: int) -> str:
        return decimal(ticks, self.price_places)

    def quantity(self, lots: int) -> str:
        return decimal(lots, self.quantity_places)

    def amount(self, ticks_times_lots: int) -> str:
        """An amount of the quote currency."""
        return decimal(ticks_times_lots, self.price_places + self.quantity_places)

    def whole_amount(self, quote: int) -> int:
        """Whole units of the quote currency, in ticks times lots."""
        steps: int = 10 ** (self.price_places + self.quantity_places)
        return quote * steps


INSTRUMENTS = {
    i.symbol: i
    for i in (
        Instrument(1, "CIFT-USD", 2, 3, top=10**8, most=10**9),
        Instrument(2, "BTC-USD", 2, 6, top=10**9, most=10**9),
        Instrument(3, "ETH-USD", 2, 5, top=10**9, most=10**9),
    )
}
BY_NUMBER = {i.number: i for i in INSTRUMENTS.values()}


def instrument(symbol: str) -> Instrument:
    """The instrument of a symbol.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return INSTRUMENTS[symbol]
    except KeyError:
        raise InvalidInput(f"symbol: {symbol[:32]!r} is not traded here; see /v1/symbols") from None


def _whole(text: str, places: int, name: str, most: int) -> int:
    found = _DECIMAL.match(text)
    if found is None:
        raise InvalidInput(f"{name}: {text[:32]!r} is not a plain positive decimal of at most 12 digits")
    whole, fraction = found[1], (found[2] or "").rstrip("0")
    if len(fraction) > places:
        raise InvalidInput(f"{name}: {text[:32]} is finer than the step {decimal(1, places)}")
    value = int(whole + fraction.ljust(places, "0"))
    if value == 0:
        raise InvalidInput(f"{name}: must be more than zero")
    if value > most:
        raise InvalidInput(f"{name}: {text[:32]} is more than {decimal(most, places)}")
    return value


def decimal(value: int, places: int) -> str:
    """A whole number of steps as a decimal of ``places`` places."""
    sign, digits = "-" if value < 0 else "", str(abs(value)).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits
