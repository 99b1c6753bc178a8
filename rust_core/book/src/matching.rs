//! Matching: an order against the other side, and the stops that its trades elect.

use std::collections::VecDeque;

use crate::book::{after, Book};
use crate::codes::{EventKind, OrderType, Reason, SelfTrade, TimeInForce};
use crate::live::Live;
use crate::order::{Order, NIL};
use crate::record::{Event, Maker};
use crate::tape::Tape;

/// Lowest and highest price of the trades of one pass.
type Traded = Option<(i64, i64)>;

/// An event of an order, with what is left of it.
pub fn event(kind: EventKind, reason: Reason, order: &Order, quantity: u64) -> Event {
    Event {
        reason,
        side: order.side as u8,
        order_id: order.id,
        account: order.account,
        price: order.price,
        quantity,
        remaining: order.remaining,
        visible: order.visible,
        ..Event::of(kind)
    }
}

/// An order that acts: it trades, its rest rests or is canceled, and stops that it elected act after it, in turn.
pub fn act(live: &mut Live, book: &mut Book, order: Order, tape: &mut Tape) {
    let mut queue = VecDeque::new();
    enter(live, book, order, &mut queue, tape);
    while let Some(order) = queue.pop_front() {
        tape.emit(book.id, &event(EventKind::Triggered, Reason::None, &order, order.remaining));
        enter(live, book, order, &mut queue, tape);
    }
}

/// A stop whose price is reached already acts at once; another waits.
fn enter(live: &mut Live, book: &mut Book, mut order: Order, queue: &mut VecDeque<Order>, tape: &mut Tape) {
    if order.waiting {
        if book.elects(order.side, order.stop_price) {
            order.waiting = false;
            queue.push_back(order);
        } else {
            live.put(book, order);
        }
        return;
    }
    if order.time_in_force == TimeInForce::Fok && !fillable(live, book, &order) {
        cancel(book, &mut order, Reason::NotFillable, tape);
        return;
    }
    let traded = sweep(live, book, &mut order, tape);
    if order.remaining > 0 {
        let market = matches!(order.order_type, OrderType::Market | OrderType::Stop);
        if market || !order.time_in_force.rests() {
            cancel(book, &mut order, Reason::Unfilled, tape);
        } else {
            let place = live.put(book, order);
            let order = &live.orders[place];
            let mut rested = event(EventKind::Rested, Reason::None, order, order.remaining);
            rested.level = book.level_of(order);
            tape.emit(book.id, &rested);
        }
    }
    if let Some((low, high)) = traded {
        elect(live, book, low, high, queue);
    }
}

/// Cancel what is left of an order that is not in the book.
fn cancel(book: &Book, order: &mut Order, reason: Reason, tape: &mut Tape) {
    let quantity = std::mem::take(&mut order.remaining);
    tape.emit(book.id, &event(EventKind::Canceled, reason, order, quantity));
}

/// Whether a fill-or-kill order would be filled whole.
fn fillable(live: &Live, book: &Book, order: &Order) -> bool {
    let (against, limit) = (book.side(order.side.opposite()), book.limit(order));
    let mut found: u64 = 0;
    for level in against.iter().take_while(|level| against.within(level.price, limit)) {
        let (mut others, mut ahead, mut met) = (level.total, 0u64, false);
        if order.self_trade != SelfTrade::Allow {
            let mut place = level.head;
            while place != NIL {
                let maker = &live.orders[place];
                if maker.account == order.account {
                    met = true;
                    others -= maker.remaining;
                } else if !met {
                    ahead += maker.visible;
                }
                place = maker.next;
            }
        }
        if met && order.self_trade != SelfTrade::CancelOldest {
            // Slices that refresh stand behind the order of the same account: only what is displayed before it counts.
            return found + ahead >= order.remaining;
        }
        found += others;
        if found >= order.remaining {
            return true;
        }
    }
    false
}

/// Trade against the other side as far as price, quantity and self-trade prevention allow.
fn sweep(live: &mut Live, book: &mut Book, taker: &mut Order, tape: &mut Tape) -> Traded {
    let (side, limit) = (taker.side.opposite(), book.limit(taker));
    let mut traded: Traded = None;
    while taker.remaining > 0 {
        let against = book.side(side);
        let Some(best) = against.best() else { break };
        let (price, place) = (against.level(best).price, against.level(best).head);
        if !against.within(price, limit) {
            break;
        }
        let maker = &live.orders[place];
        if maker.account == taker.account && taker.self_trade != SelfTrade::Allow {
            prevent(live, book, taker, place, tape);
            continue;
        }
        let quantity = taker.remaining.min(maker.visible);
        taker.remaining -= quantity;
        live.last_trade += 1;
        let mut trade = event(EventKind::Trade, Reason::None, taker, quantity);
        trade.price = price;
        trade.trade_id = live.last_trade;
        trade.maker = Maker { order_id: maker.id, account: maker.account, remaining: maker.remaining - quantity };
        trade.visible = maker.visible - quantity;
        let refreshes = consume(live, book, place, quantity, &mut trade);
        tape.emit(book.id, &trade);
        if refreshes {
            refresh(live, book, place, tape);
        }
        book.last_price = price;
        traded = Some(traded.map_or((price, price), |(low, high)| (low.min(price), high.max(price))));
    }
    traded
}

/// Take quantity from the slice that a maker displays, and the maker away if nothing remains; whether it has more slices.
fn consume(live: &mut Live, book: &mut Book, place: u32, quantity: u64, event: &mut Event) -> bool {
    let maker = &live.orders[place];
    if maker.remaining == quantity {
        event.level = live.take(book, place).1;
        return false;
    }
    book.lessen(&mut live.orders, place, quantity, quantity);
    event.level = book.level_of(&live.orders[place]);
    live.orders[place].visible == 0
}

fn refresh(live: &mut Live, book: &mut Book, place: u32, tape: &mut Tape) {
    let side = live.orders[place].side;
    let level = after(side, book.side_mut(side).refresh(&mut live.orders, place));
    let maker = &live.orders[place];
    let mut refreshed = event(EventKind::Restated, Reason::Refreshed, maker, maker.visible);
    refreshed.level = Some(level);
    tape.emit(book.id, &refreshed);
}

/// Two orders of one account met: what the taker's mode says is done instead of a trade.
fn prevent(live: &mut Live, book: &mut Book, taker: &mut Order, place: u32, tape: &mut Tape) {
    let mode = taker.self_trade;
    if matches!(mode, SelfTrade::CancelOldest | SelfTrade::CancelBoth) {
        live.cancel(book, place, EventKind::Canceled, Reason::SelfTrade, tape);
    }
    if matches!(mode, SelfTrade::CancelNewest | SelfTrade::CancelBoth) {
        cancel(book, taker, Reason::SelfTrade, tape);
    }
    if mode == SelfTrade::Decrement {
        let quantity = taker.remaining.min(live.orders[place].visible);
        let maker = live.orders[place];
        let mut lessened = event(EventKind::Restated, Reason::SelfTrade, &maker, quantity);
        lessened.remaining -= quantity;
        lessened.visible -= quantity;
        if lessened.remaining == 0 {
            lessened.kind = EventKind::Canceled;
        } else {
            live.orders[place].quantity -= quantity;
        }
        let refreshes = consume(live, book, place, quantity, &mut lessened);
        tape.emit(book.id, &lessened);
        if refreshes {
            refresh(live, book, place, tape);
        }
        taker.quantity -= quantity;
        taker.remaining -= quantity;
        let kind = if taker.remaining == 0 { EventKind::Canceled } else { EventKind::Restated };
        tape.emit(book.id, &event(kind, Reason::SelfTrade, taker, quantity));
    }
}

/// Take the stops out whose price lies in what was traded: buys from the lowest price up, then sells from the highest down.
fn elect(live: &mut Live, book: &mut Book, low: i64, high: i64, queue: &mut VecDeque<Order>) {
    for (buy, limit) in [(true, high), (false, low)] {
        loop {
            let stops = if buy { &book.buy_stops } else { &book.sell_stops };
            let Some(best) = stops.best() else { break };
            let level = stops.level(best);
            if !stops.within(level.price, limit) {
                break;
            }
            let (mut order, _) = live.take(book, level.head);
            order.waiting = false;
            queue.push_back(order);
        }
    }
}
