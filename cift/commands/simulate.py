"""``cift simulate``: a market maker and some takers, so that a newcomer sees a market that lives.

The maker (demo-2) quotes both sides of a price that walks at random; takers (demo-3 to demo-6) hit it with market orders.
With an API key, all of them are that key's account, and orders that would trade with themselves cancel the older one.
"""

from __future__ import annotations

import asyncio
import math
import random
import signal
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cift.commands.http import Answer, Client, Login, VenueError
from cift.domain.instruments import Instrument

START = {"CIFT-USD": 100.0, "BTC-USD": 60_000.0, "ETH-USD": 3_000.0}
_USUAL = 3_000.0
"""Quote currency that a usual order is worth."""
_QUOTES = 40
"""Orders of the maker that rest at once, of a symbol."""


@dataclass(slots=True)
class Walk:
    """One symbol's fair price, in ticks, and what its traders do next; a pure function of the random numbers."""

    traded: Instrument
    fair: float
    chance: random.Random
    anchor: float = field(init=False)

    def __post_init__(self) -> None:
        self.anchor = self.fair

    def step(self) -> None:
        """The price moves, and is drawn back to where it began."""
        pull = 0.002 * math.log(self.anchor / self.fair)
        self.fair *= math.exp(pull + self.chance.gauss(0, 0.0008))

    def quotes(self) -> list[dict[str, Any]]:
        """Orders of the maker around the price: near ones small, far ones larger."""
        orders = []
        for side, sign in (("buy", -1), ("sell", 1)):
            for _ in range(2):
                away = 0.0002 + self.chance.expovariate(1 / 0.002)
                ticks = max(1, min(self.traded.top, round(self.fair * (1 + sign * away))))
                orders.append(self._order(side, 1 + 300 * away, type="limit", price=self.traded.price(ticks)))
        return orders

    def takers(self) -> Iterator[dict[str, Any]]:
        """Now and then a market order; they come in bursts on one side."""
        if self.chance.random() < 0.35:
            side = self.chance.choice(("buy", "sell"))
            for _ in range(1 + int(self.chance.expovariate(1.2))):
                yield self._order(side, 0.7, type="market")

    def _order(self, side: str, size: float, **more: object) -> dict[str, Any]:
        worth = _USUAL * size * self.chance.lognormvariate(0, 0.6)
        lots = round(worth / (self.fair * 10**-self.traded.price_places) * 10**self.traded.quantity_places)
        quantity = self.traded.quantity(max(1, min(lots, self.traded.most)))
        names = {"symbol": self.traded.symbol, "side": side, "quantity": quantity}
        return {
            **names,
            "self_trade_prevention": "cancel_oldest",
            "client_order_id": f"sim-{uuid.uuid4().hex[:24]}",
            **more,
        }


@dataclass(slots=True)
class Counts:
    placed: int = 0
    filled: int = 0
    refused: int = 0


class Simulator:
    """Walks of several symbols against one venue."""

    def __init__(self, url: str, login: Login | None, walks: Sequence[Walk], rate: float) -> None:
        self._maker = Client(url, login, "demo-2")
        self._takers = [Client(url, login, f"demo-{n}") for n in range(3, 7)]
        self._walks, self._pause = walks, len(walks) * 5 / rate
        self._resting: dict[str, deque[int]] = {walk.traded.symbol: deque() for walk in walks}
        self._url = url
        self.counts = Counts()

    async def run(self, seconds: float, stop: asyncio.Event) -> None:
        """Trade for so long (0: until told to stop), then take back what rests.

        Raises:
            VenueError: there is no venue to begin with, or it refuses these accounts.
        """
        first = await self._asked(self._maker, "GET", "/v1/account")
        if first is None:
            raise VenueError(f"{self._url}: there is no venue; start one: cift serve")
        if first.status != 200:
            raise VenueError(f"{self._url}: {first.body.get('detail', first.status)}")
        end, said = time.monotonic() + (seconds or math.inf), 0.0
        while not stop.is_set() and time.monotonic() < end:
            for walk in self._walks:
                await self._turn(walk)
            if time.monotonic() - said > 1:
                said = time.monotonic()
                self._say()
            try:
                await asyncio.wait_for(stop.wait(), self._pause)
            except TimeoutError:
                continue
        for walk in self._walks:
            await self._asked(self._maker, "DELETE", f"/v1/orders?symbol={walk.traded.symbol}")
        self._say(end="\n")

    async def _turn(self, walk: Walk) -> None:
        walk.step()
        resting = self._resting[walk.traded.symbol]
        placed = await self._asked(self._maker, "POST", "/v1/orders/batch", {"orders": walk.quotes()})
        if placed is not None and placed.status == 200:
            for result in placed.body["results"]:
                self._count(201 if "id" in result else 409, result)
                if "id" in result:
                    resting.append(result["id"])
        while len(resting) > _QUOTES:
            await self._asked(self._maker, "DELETE", f"/v1/orders/{resting.popleft()}")
        for order in walk.takers():
            answer = await self._asked(walk.chance.choice(self._takers), "POST", "/v1/orders", order)
            if answer is not None:
                self._count(answer.status, answer.body)

    async def _asked(self, client: Client, method: str, target: str, body: object = None) -> Answer | None:
        """An answer, or None where the venue is away: a market does not end with one broken connection."""
        try:
            answer = await client.ask(method, target, body)
        except (OSError, EOFError):
            await asyncio.sleep(0.2)
            return None
        if answer.status in (429, 503):
            await asyncio.sleep(max(0.2, answer.retry_after))
        return answer

    def _count(self, status: int, body: dict[str, Any]) -> None:
        if status in (200, 201):
            self.counts.placed += 1
            self.counts.filled += bool(body.get("trades"))
        else:
            self.counts.refused += 1

    def _say(self, end: str = "\r") -> None:
        terminal = sys.stderr.isatty()
        if terminal or end == "\n":
            prices = "  ".join(f"{w.traded.symbol} {w.traded.price(round(w.fair))}" for w in self._walks)
            c = self.counts
            line = f"{c.placed} orders taken, {c.filled} traded at once, {c.refused} refused   {prices}"
            print(line, end=end if terminal else "\n", file=sys.stderr, flush=True)


def run(
    url: str, login: Login | None, traded: Sequence[Instrument], rate: float, seconds: float, seed: int | None
) -> Counts:
    """Trade until the time is over or a signal comes."""
    chance = random.Random(seed)
    walks = [Walk(i, START.get(i.symbol, 100.0) * 10**i.price_places, chance) for i in traded]

    async def main() -> Counts:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        simulator = Simulator(url, login, walks, rate)
        await simulator.run(seconds, stop)
        return simulator.counts

    return asyncio.run(main())
