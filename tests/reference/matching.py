"""An order that acts: the four steps of the rules."""

from __future__ import annotations

from collections import deque

from reference.book import Book
from reference.codes import LIMITS, RESTING, EventKind, Reason, SelfTrade, Side, TimeInForce
from reference.ledger import Ledger
from reference.records import Order


class Acting:
    """One command's orders at work: the one that it brought, and the stops that were elected meanwhile."""

    def __init__(self, ledger: Ledger, book: Book) -> None:
        self._ledger = ledger
        self._book = book
        self._elected: deque[Order] = deque()

    def act(self, order: Order) -> None:
        if not order.waiting:
            self._take(order)
        elif self._book.elected(order.side, order.stop_price):
            order.waiting = False
            self._elected.append(order)
        else:
            self._ledger.keep(order)
        while self._elected:
            stop = self._elected.popleft()
            self._ledger.tell(EventKind.TRIGGERED, Reason.NONE, stop, stop.remaining)
            self._take(stop)

    def _take(self, taker: Order) -> None:
        if taker.tif == TimeInForce.FOK and not self._fillable(taker):
            self._cancel(taker, Reason.NOT_FILLABLE)
            return
        prices = self._trade(taker)
        if taker.remaining:
            if taker.type in LIMITS and taker.tif in RESTING:
                level = self._ledger.keep(taker)
                self._ledger.tell(EventKind.RESTED, Reason.NONE, taker, taker.remaining, level)
            else:
                self._cancel(taker, Reason.UNFILLED)
        if prices:
            self._elect(min(prices), max(prices))

    def _fillable(self, taker: Order) -> bool:
        """Whether a fill-or-kill order finds its whole quantity."""
        found = 0
        for level in self._book.against(taker.side).within(self._book.limit(taker)):
            own = [o for o in level.queue.values() if o.account == taker.account]
            if own and taker.self_trade not in (SelfTrade.ALLOW, SelfTrade.CANCEL_OLDEST):
                for maker in level.queue.values():
                    if maker.account == taker.account:
                        break
                    found += maker.visible
                return found >= taker.remaining
            mine = 0 if taker.self_trade == SelfTrade.ALLOW else sum(o.remaining for o in own)
            found += sum(o.remaining for o in level.queue.values()) - mine
            if found >= taker.remaining:
                return True
        return False

    def _trade(self, taker: Order) -> list[int]:
        """Trade as far as price, quantity and self-trade prevention allow; the prices of the trades."""
        ledger, book, prices = self._ledger, self._book, []
        against, limit = book.against(taker.side), book.limit(taker)
        while taker.remaining:
            level = against.best()
            if level is None or not against.reaches(level.price, limit):
                break
            maker = level.first()
            if maker.account == taker.account and taker.self_trade != SelfTrade.ALLOW:
                self._prevent(taker, maker)
                continue
            quantity = min(taker.remaining, maker.visible)
            taker.remaining -= quantity
            if maker.remaining == quantity:
                ledger.forget(maker)
                maker.remaining = maker.visible = 0
            else:
                book.lessen(maker, quantity)
            book.last_price = maker.price
            prices.append(maker.price)
            ledger.traded(taker, maker, quantity, level)
            self._show_next(maker)
        return prices

    def _show_next(self, maker: Order) -> None:
        if maker.remaining and not maker.visible:
            level = self._book.refresh(maker)
            self._ledger.tell(EventKind.RESTATED, Reason.REFRESHED, maker, maker.visible, level)

    def _prevent(self, taker: Order, maker: Order) -> None:
        ledger, mode = self._ledger, taker.self_trade
        if mode in (SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH):
            ledger.end(maker, EventKind.CANCELED, Reason.SELF_TRADE)
        if mode in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
            self._cancel(taker, Reason.SELF_TRADE)
        if mode == SelfTrade.DECREMENT:
            quantity = min(taker.remaining, maker.visible)
            if maker.remaining == quantity:
                ledger.end(maker, EventKind.CANCELED, Reason.SELF_TRADE)
            else:
                maker.quantity -= quantity
                level = self._book.lessen(maker, quantity)
                ledger.tell(EventKind.RESTATED, Reason.SELF_TRADE, maker, quantity, level)
                self._show_next(maker)
            taker.quantity -= quantity
            taker.remaining -= quantity
            kind = EventKind.RESTATED if taker.remaining else EventKind.CANCELED
            ledger.tell(kind, Reason.SELF_TRADE, taker, quantity)

    def _cancel(self, order: Order, reason: Reason) -> None:
        """Cancel what is left of an order that is in no book."""
        ended, order.remaining = order.remaining, 0
        self._ledger.tell(EventKind.CANCELED, reason, order, ended)

    def _elect(self, low: int, high: int) -> None:
        """Queue the stops whose price was traded: buys from the lowest up, then sells from the highest down."""
        for side, limit in ((Side.BUY, high), (Side.SELL, low)):
            reached = [o for level in self._book.stops[side].within(limit) for o in level.queue.values()]
            for stop in reached:
                self._ledger.forget(stop)
                stop.waiting = False
                self._elected.append(stop)
