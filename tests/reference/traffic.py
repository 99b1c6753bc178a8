"""Random commands: most of them sensible, some at the limits, some nonsense. The same seed gives the same ones."""

from __future__ import annotations

from random import Random

from reference.codes import (
    MAX_INSTRUMENT,
    MAX_PRICE,
    MAX_QUANTITY,
    CommandKind,
    Flag,
    InstrumentState,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)
from reference.records import Command, Terms

_ACCOUNTS = 4
_TERMS = {
    1: Terms(InstrumentState.OPEN, 1, 1, 1, MAX_PRICE),
    2: Terms(InstrumentState.OPEN, 5, 10, 400, 600),
    MAX_INSTRUMENT: Terms(InstrumentState.OPEN, 1, 1, 80, 120),
}
_NUMBERS = (1, 1, 1, 2, 2, MAX_INSTRUMENT)
_KINDS = (CommandKind.NEW,) * 60 + (CommandKind.CANCEL,) * 12 + (CommandKind.REPLACE,) * 16 + (CommandKind.CLOCK,) * 2
_STRANGE_PRICES = (0, -1, 1, MAX_PRICE, MAX_PRICE + 1, 2**63 - 1, -(2**63))
_STRANGE_SIZES = (0, 1, MAX_QUANTITY, MAX_QUANTITY, MAX_QUANTITY + 1, 2**64 - 1)


class Traffic:
    """An endless source of commands; ``strange`` is the share of fields that are out of the ordinary."""

    def __init__(self, random: Random, strange: float = 0.01) -> None:
        self._random = random
        self._strange = strange
        self._sequence = 0
        self._time = 0
        self._last_order = 0
        self._owners: list[tuple[int, int, int]] = []

    def opening(self) -> list[Command]:
        """The definitions of the instruments."""
        return [self._command(number, CommandKind.DEFINE, terms=terms) for number, terms in _TERMS.items()]

    def batch(self, size: int) -> list[Command]:
        return [self._any() for _ in range(size)]

    def _command(self, number: int, kind: int, **fields: object) -> Command:
        self._sequence += self._random.choice((1, 1, 1, 7))
        self._time += self._random.choice((0, 0, 1, 3))
        return Command(self._sequence, self._time, number, kind, **fields)  # type: ignore[arg-type]

    def _odd(self) -> bool:
        return self._random.random() < self._strange

    def _any(self) -> Command:
        if self._random.random() < 0.01:
            return self._rare()
        number = self._random.choice(_NUMBERS)
        match self._random.choice(_KINDS):
            case CommandKind.NEW:
                return self._new(number)
            case CommandKind.CANCEL:
                order, account, _ = self._known()
                return self._command(number, CommandKind.CANCEL, order_id=order, account=account)
            case CommandKind.REPLACE:
                return self._replace()
        return self._command(0, CommandKind.CLOCK)

    def _rare(self) -> Command:
        number = self._random.choice(_NUMBERS)
        terms = _TERMS[number]
        match self._random.randrange(8):
            case 0 | 1 | 2:
                side = self._random.choice((0, 1, 2, 3))
                account = self._random.choice((0, *range(1, _ACCOUNTS + 1)))
                number = self._random.choice((0, number, number, 9))
                return self._command(number, CommandKind.MASS_CANCEL, side=side, account=account)
            case 3:
                state = self._random.choice((1, 1, 2, 3, 4))
                return self._command(number, CommandKind.SET_STATE, terms=terms._replace(state=state))
            case 4:
                low = max(1, terms.low + self._random.choice((-10, 0, 5)) * terms.tick)
                return self._command(number, CommandKind.DEFINE, terms=terms._replace(low=low))
            case 5:
                odd = self._random.choice(
                    ({"tick": 2}, {"lot": 3}, {"tick": 0}, {"lot": 0}, {"low": 0}, {"high": 2**62}, {"state": 0})
                )
                number = self._random.choice((number, number, 0, MAX_INSTRUMENT + 1))
                return self._command(number, CommandKind.DEFINE, terms=terms._replace(**odd))
            case 6:
                return self._command(number, self._random.choice((0, 8, 255)), order_id=5, account=1, price=-3)
        return self._command(number, CommandKind.SET_STATE, terms=terms)

    def _price(self, number: int) -> int:
        if self._odd():
            return self._random.choice(_STRANGE_PRICES)
        tick = _TERMS[number].tick
        return (100 + self._random.randint(-6, 6) + self._random.randint(-4, 4)) * tick + (1 if self._odd() else 0)

    def _size(self, number: int) -> int:
        if self._odd():
            return self._random.choice(_STRANGE_SIZES)
        lot = _TERMS[number].lot
        return self._random.choice((1, 2, 3, 5, 8, 13, 40)) * lot + (1 if self._odd() else 0)

    def _known(self) -> tuple[int, int, int]:
        """An order that was sent, more likely a late one, and its account, or another."""
        if not self._owners or self._odd():
            return self._random.choice((0, 1, 2**64 - 1)), 1, 1
        order, account, number = self._owners[-1 - int(len(self._owners) * self._random.random() ** 3)]
        return order, (self._random.randint(1, _ACCOUNTS) if self._odd() else account), number

    def _new(self, number: int) -> Command:
        if self._odd():
            order = self._random.choice((0, self._last_order))
        else:
            self._last_order = order = self._last_order + self._random.choice((1, 1, 3))
        account = 0 if self._odd() else self._random.randint(1, _ACCOUNTS)
        self._owners.append((order, account, number))
        del self._owners[:-400]
        kind = self._random.choices((*OrderType, 5), (60, 10, 10, 10, 1))[0]
        stop, priced = kind in (OrderType.STOP, OrderType.STOP_LIMIT), kind in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        if kind == OrderType.MARKET:
            tif = self._random.choice((TimeInForce.IOC, TimeInForce.FOK))
        elif stop:
            tif = self._random.choice((TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD))
        else:
            tif = self._random.choice((*TimeInForce, TimeInForce.GTC, TimeInForce.DAY))
        if self._odd():
            tif = self._random.choice((*TimeInForce, 0, 6))
        rests = tif in (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)
        post_only = kind == OrderType.LIMIT and rests and self._random.random() < 0.1
        flags = 2 if self._odd() else Flag.POST_ONLY if post_only or self._odd() else 0
        iceberg = (priced and rests and self._random.random() < 0.2) or self._odd()
        side = self._random.choice((0, 3)) if self._odd() else self._random.choice(tuple(Side))
        return self._command(
            9 if self._odd() else number,
            CommandKind.NEW,
            side=side,
            type=kind,
            tif=tif,
            self_trade=5 if self._odd() else self._random.choice(tuple(SelfTrade)),
            flags=flags,
            account=account,
            order_id=order,
            quantity=self._size(number),
            display=self._size(number) if iceberg else 0,
            price=self._price(number) if priced or self._odd() else 0,
            stop_price=self._price(number) if stop or self._odd() else 0,
            expiry=self._time + self._random.randint(0, 60) if tif == TimeInForce.GTD or self._odd() else 0,
        )

    def _replace(self) -> Command:
        order, account, number = self._known()
        return self._command(
            number,
            CommandKind.REPLACE,
            account=account,
            order_id=order,
            quantity=self._size(number),
            display=self._size(number) if self._random.random() < 0.2 else 0,
            price=self._price(number) if self._random.random() < 0.9 else 0,
            stop_price=self._price(number),
        )
