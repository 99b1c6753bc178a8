"""The least that a matcher in pure Python can be: limit orders, cancel, lessen; no checks, no events but trades as tuples.

It knows a tenth of the rules of the core. It stands here so that nobody has to believe that the reference is as fast as Python gets.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush


class Lean:
    def __init__(self) -> None:
        # Per side: price to queue of orders, and a heap of prices; an order is [id, remaining, price, side].
        self.levels: tuple[dict[int, deque[list[int]]], ...] = ({}, {}, {})
        self.heaps: tuple[list[int], ...] = ([], [], [])
        self.orders: dict[int, list[int]] = {}
        self.trades: list[tuple[int, int, int, int]] = []

    def new(self, order: int, side: int, price: int, quantity: int) -> None:
        against = 3 - side
        levels, heap, sign = self.levels[against], self.heaps[against], 1 if side == 1 else -1
        while quantity and heap and sign * price >= heap[0]:
            best = sign * heap[0]
            queue = levels[best]
            while queue and quantity:
                maker = queue[0]
                left = maker[1]
                if left > quantity:
                    maker[1] = left - quantity
                    self.trades.append((order, maker[0], best, quantity))
                    quantity = 0
                else:
                    queue.popleft()
                    if left:
                        self.trades.append((order, maker[0], best, left))
                        quantity -= left
                        del self.orders[maker[0]]
            if not queue:
                heappop(heap)
                del levels[best]
        if quantity:
            self.orders[order] = resting = [order, quantity, price, side]
            own = self.levels[side]
            queue = own.get(price)
            if queue is None:
                own[price] = queue = deque()
                heappush(self.heaps[side], -price if side == 1 else price)
            queue.append(resting)

    def cancel(self, order: int) -> None:
        """The order stays in its queue, empty, until a taker meets it."""
        found = self.orders.pop(order, None)
        if found is not None:
            found[1] = 0

    def lessen(self, order: int, quantity: int) -> None:
        found = self.orders.get(order)
        if found is not None and found[1] > quantity:
            found[1] = quantity
