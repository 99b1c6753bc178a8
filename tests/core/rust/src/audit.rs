//! An audit that knows commands and events alone: it keeps its own queues, and no rule of matching but what it checks.

use std::collections::{BTreeMap, HashMap, VecDeque};

use cift_book::{Command, Core, EventKind, Reason, SelfTrade, Side, TimeInForce};

use crate::seen::{Resting, Seen};

/// What is known of an order that lives.
#[derive(Clone, Copy, Debug)]
struct Known {
    instrument: u32,
    side: u8,
    account: u64,
    self_trade: u8,
    price: i64,
    total: u64,
    remaining: u64,
    visible: u64,
    rests: bool,
}

type Queues = BTreeMap<(u32, u8), BTreeMap<i64, VecDeque<u64>>>;

#[derive(Default)]
pub struct Audit {
    orders: HashMap<u64, Known>,
    queues: Queues,
    trades: u64,
}

impl Audit {
    /// Follow the events of one command.
    ///
    /// # Panics
    /// An event that cannot be: quantity that was lost or came from nowhere, a trade out of turn, at a price that is not
    /// the best or is worse than the taker's limit, or of one account that forbids it; a level that tells another sum.
    pub fn follow(&mut self, command: &Command, events: &[Seen]) {
        all_or_none(command, events);
        let mut canceled = 0;
        for (index, event) in events.iter().enumerate() {
            assert_eq!((event.sequence, event.index as usize), (command.sequence, index));
            match event.kind {
                EventKind::Accepted => self.accepted(command, event),
                EventKind::Rejected => assert!(event.index as usize + 1 == events.len(), "more after a rejection"),
                EventKind::Trade => self.traded(event),
                EventKind::Rested => self.rested(event),
                EventKind::Canceled | EventKind::Expired => {
                    canceled += u64::from(event.reason == Reason::MassCancel);
                    self.ended(event);
                }
                EventKind::Replaced => self.replaced(event),
                EventKind::Triggered => {
                    let known = self.orders[&event.order];
                    assert!(!known.rests && known.remaining == event.quantity, "{event}");
                }
                EventKind::Restated => self.restated(event),
                EventKind::MassCanceled => assert_eq!(event.quantity, canceled),
                EventKind::Instrument => {}
            }
            if event.level_side != 0 {
                self.level(event);
            }
        }
    }

    /// Compare with what the core says is left.
    pub fn agrees(&self, core: &Core) {
        assert_eq!(core.len(), self.orders.len());
        for book in core.books() {
            let mut records = Vec::new();
            core.write_orders(book, &mut records);
            let mut rest: BTreeMap<(u32, u8), BTreeMap<i64, VecDeque<u64>>> = BTreeMap::new();
            for order in Resting::all(&records) {
                let known = &self.orders[&order.order];
                let told = (known.total, known.remaining, known.visible, known.price);
                assert_eq!(told, (order.quantity, order.remaining, order.visible, order.price), "{order:?}");
                if !order.waiting {
                    rest.entry((book.id, order.side))
                        .or_default()
                        .entry(order.price)
                        .or_default()
                        .push_back(order.order);
                }
            }
            for side in [Side::Buy as u8, Side::Sell as u8] {
                let told = self.queues.get(&(book.id, side)).cloned().unwrap_or_default();
                assert_eq!(told, rest.remove(&(book.id, side)).unwrap_or_default(), "queues of side {side}");
            }
        }
    }

    fn accepted(&mut self, command: &Command, event: &Seen) {
        let known = Known {
            instrument: event.instrument,
            side: event.side,
            account: event.account,
            self_trade: command.self_trade,
            price: event.price,
            total: event.quantity,
            remaining: event.quantity,
            visible: 0,
            rests: false,
        };
        assert!(self.orders.insert(event.order, known).is_none(), "{event}: accepted twice");
    }

    fn known(&mut self, order: u64) -> &mut Known {
        self.orders.get_mut(&order).unwrap_or_else(|| panic!("order {order} does not live"))
    }

    fn traded(&mut self, event: &Seen) {
        self.trades += 1;
        assert_eq!(event.trade, self.trades, "trade ids count");
        let (taker, maker) = (*self.known(event.order), *self.known(event.maker));
        assert!(event.quantity > 0 && maker.rests && !taker.rests, "{event}");
        assert!(
            taker.account != maker.account || taker.self_trade == SelfTrade::Allow as u8,
            "{event}: of one account"
        );
        assert_eq!((maker.side, maker.price), (3 - taker.side, event.price), "{event}");
        assert_eq!(self.first(event.instrument, maker.side), Some((event.price, event.maker)), "{event}: out of turn");
        let worse = if taker.side == Side::Buy as u8 { event.price > taker.price } else { event.price < taker.price };
        assert!(taker.price == 0 || !worse, "{event}: the limit was {}", taker.price);
        assert_eq!(taker.remaining.checked_sub(event.quantity), Some(event.remaining), "{event}");
        assert_eq!(maker.remaining.checked_sub(event.quantity), Some(event.maker_remaining), "{event}");
        assert_eq!(maker.visible.checked_sub(event.quantity), Some(event.visible), "{event}");
        self.left(event.order, event.remaining, 0);
        self.left(event.maker, event.maker_remaining, event.visible);
    }

    /// What is left of an order; without any it lives no more.
    fn left(&mut self, order: u64, remaining: u64, visible: u64) {
        let known = self.known(order);
        (known.remaining, known.visible) = (remaining, visible);
        if remaining == 0 {
            self.leave(order);
            self.orders.remove(&order);
        }
    }

    fn leave(&mut self, order: u64) {
        let known = self.known(order);
        if !std::mem::take(&mut known.rests) {
            return;
        }
        known.visible = 0;
        let (key, price) = ((known.instrument, known.side), known.price);
        let levels = self.queues.entry(key).or_default();
        let queue = levels.entry(price).or_default();
        queue.retain(|other| *other != order);
        if queue.is_empty() {
            levels.remove(&price);
        }
    }

    fn enter(&mut self, order: u64, visible: u64) {
        let known = self.known(order);
        (known.rests, known.visible) = (true, visible);
        let (key, price) = ((known.instrument, known.side), known.price);
        self.queues.entry(key).or_default().entry(price).or_default().push_back(order);
    }

    /// Price and order that come first on a side.
    fn first(&self, instrument: u32, side: u8) -> Option<(i64, u64)> {
        let levels = self.queues.get(&(instrument, side))?;
        let (price, queue) = if side == Side::Buy as u8 { levels.last_key_value() } else { levels.first_key_value() }?;
        Some((*price, *queue.front()?))
    }

    fn rested(&mut self, event: &Seen) {
        let known = *self.known(event.order);
        assert!(!known.rests && known.remaining == event.quantity && known.price == event.price, "{event}");
        assert!((1..=event.quantity).contains(&event.visible), "{event}");
        if let Some((best, _)) = self.first(event.instrument, 3 - event.side) {
            let apart = if event.side == Side::Buy as u8 { event.price < best } else { event.price > best };
            assert!(apart, "{event}: rests although it reaches {best}");
        }
        self.enter(event.order, event.visible);
    }

    fn ended(&mut self, event: &Seen) {
        let known = *self.known(event.order);
        assert_eq!((event.quantity, event.remaining), (known.remaining, 0), "{event}: all that was left is taken away");
        assert_eq!(event.level_side != 0, known.rests, "{event}");
        self.left(event.order, 0, 0);
    }

    fn replaced(&mut self, event: &Seen) {
        let known = *self.known(event.order);
        assert_eq!(event.level_side != 0, known.rests, "{event}");
        let traded = known.total - known.remaining;
        assert_eq!(event.quantity - event.remaining, traded, "{event}: what has traded stays");
        if event.visible == 0 {
            self.leave(event.order);
        } else {
            assert!(event.price == known.price && event.quantity <= known.total, "{event}: kept its place");
        }
        let known = self.known(event.order);
        (known.price, known.total) = (event.price, event.quantity);
        (known.remaining, known.visible) = (event.remaining, event.visible);
    }

    fn restated(&mut self, event: &Seen) {
        let known = *self.known(event.order);
        if event.reason == Reason::Refreshed {
            assert!(known.rests && known.visible == 0 && event.remaining == known.remaining, "{event}");
            assert!((1..=known.remaining).contains(&event.quantity) && event.visible == event.quantity, "{event}");
            self.leave(event.order);
            self.enter(event.order, event.visible);
            return;
        }
        assert_eq!(event.reason, Reason::SelfTrade);
        assert_eq!(known.remaining.checked_sub(event.quantity), Some(event.remaining), "{event}");
        assert_eq!(event.visible, if known.rests { known.visible - event.quantity } else { 0 }, "{event}");
        self.known(event.order).total -= event.quantity;
        self.left(event.order, event.remaining, event.visible);
    }

    /// The level that an event tells is the sum of its queue here.
    fn level(&self, event: &Seen) {
        let levels = self.queues.get(&(event.instrument, event.level_side));
        let queue = levels.and_then(|levels| levels.get(&event.level_price));
        let orders = queue.map_or(0, VecDeque::len);
        let shown: u64 = queue.into_iter().flatten().map(|order| self.orders[order].visible).sum();
        assert_eq!((event.level_orders as usize, event.level_quantity), (orders, shown), "{event}");
    }
}

/// A fill-or-kill order trades its whole quantity or nothing.
fn all_or_none(command: &Command, events: &[Seen]) {
    let accepted = events.iter().any(|event| event.kind == EventKind::Accepted);
    if accepted && command.time_in_force == TimeInForce::Fok as u8 {
        let own = |event: &&Seen| event.kind == EventKind::Trade && event.order == command.order_id;
        let traded: u64 = events.iter().filter(own).map(|event| event.quantity).sum();
        assert!(traded == 0 || traded == command.quantity, "a part of fill-or-kill: {traded} of {}", command.quantity);
    }
}
