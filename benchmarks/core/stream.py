"""One deterministic order stream with the mix of a day of ITCH: adds near the touch, most of them canceled, few that cross.

Of 100 messages about 48 add, 44 cancel (a cancel takes an order that lives or has just traded), 3 lessen an order, and 5 are
aggressive: an order through the touch, now and then through several levels. The mid walks a tick at a time.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Message(NamedTuple):
    """``kind``: N (new limit order), C (cancel) or R (lessen in place)."""

    kind: str
    order: int
    account: int
    side: int
    price: int
    quantity: int


def stream(count: int, seed: int = 7) -> list[Message]:
    random, mid, last = Random(seed), 100_000, 0
    live: list[tuple[int, int, int, int, int]] = []
    messages: list[Message] = []
    while len(messages) < count:
        if random.random() < 0.02:
            mid += random.choice((-1, 1))
        chance = random.random()
        if chance < 0.53 or len(live) < 200:
            side = random.choice((1, 2))
            crossing = chance < 0.05
            away = -random.choice((1, 1, 2, 4)) if crossing else min(int(random.expovariate(0.12)) + 1, 200)
            price = mid - away if side == 1 else mid + away
            quantity = random.choice((100, 100, 100, 200, 300, 500)) * (3 if crossing else 1)
            last += 1
            account = random.randint(1, 500)
            messages.append(Message("N", last, account, side, price, quantity))
            live.append((last, account, side, price, quantity))
        else:
            # Young orders are canceled more often than old ones.
            at = len(live) - 1 - int(len(live) * random.random() ** 2)
            order, account, side, price, quantity = live[at]
            if chance < 0.56 and quantity > 100:
                live[at] = order, account, side, price, quantity - 100
                messages.append(Message("R", order, account, side, price, quantity - 100))
            else:
                live[at] = live[-1]
                live.pop()
                messages.append(Message("C", order, account, side, price, quantity))
    return messages
