//! The book of one instrument: two sides, and the stops that wait.

use crate::codes::{OrderType, Reason, Side};
use crate::ladder::{Direction, Ladder, Level};
use crate::limits::{MAX_OPEN, MAX_PRICE, MAX_QUANTITY};
use crate::order::{Order, Orders};
use crate::record::{LevelAfter, Terms};

#[derive(Clone, Debug)]
pub struct Book {
    pub id: u32,
    pub terms: Terms,
    /// Price of the last trade; 0 before the first.
    pub last_price: i64,
    /// Sum of what remains of all orders here, stops included.
    pub open: u64,
    pub bids: Ladder,
    pub asks: Ladder,
    pub buy_stops: Ladder,
    pub sell_stops: Ladder,
}

impl Book {
    pub fn new(id: u32, terms: Terms) -> Self {
        Self {
            id,
            terms,
            last_price: 0,
            open: 0,
            bids: Ladder::new(Direction::Descending),
            asks: Ladder::new(Direction::Ascending),
            buy_stops: Ladder::new(Direction::Ascending),
            sell_stops: Ladder::new(Direction::Descending),
        }
    }

    pub fn side(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    pub fn side_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn stops_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.buy_stops,
            Side::Sell => &mut self.sell_stops,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// Bids, asks, buy stops, sell stops: the canonical order of a book.
    pub fn ladders(&self) -> [&Ladder; 4] {
        [&self.bids, &self.asks, &self.buy_stops, &self.sell_stops]
    }

    /// Put an order into its queue: a stop that waits by its stop price, any other by its price.
    pub fn enter(&mut self, orders: &mut Orders, place: u32) {
        let order = &mut orders[place];
        self.open += order.remaining;
        if order.waiting {
            let (side, price) = (order.side, order.stop_price);
            self.stops_mut(side).push(orders, place, price);
        } else {
            order.visible = order.slice();
            let (side, price) = (order.side, order.price);
            self.side_mut(side).push(orders, place, price);
        }
    }

    /// Take an order out of its queue; the level that it left, as it is then, if that is one of the book's.
    pub fn leave(&mut self, orders: &mut Orders, place: u32) -> Option<LevelAfter> {
        let (side, waiting) = (orders[place].side, orders[place].waiting);
        self.open -= orders[place].remaining;
        if waiting {
            self.stops_mut(side).remove(orders, place);
            None
        } else {
            Some(after(side, &self.side_mut(side).remove(orders, place)))
        }
    }

    /// Lessen an order in its place.
    pub fn lessen(&mut self, orders: &mut Orders, place: u32, visible: u64, remaining: u64) {
        self.open -= remaining;
        let order = &orders[place];
        let ladder = if order.waiting { self.stops_mut(order.side) } else { self.side_mut(order.side) };
        ladder.lessen(orders, place, visible, remaining);
    }

    /// The level in which an order rests.
    pub fn level_of(&self, order: &Order) -> Option<LevelAfter> {
        (!order.waiting).then(|| after(order.side, self.side(order.side).level(order.level)))
    }

    /// How far an order may trade: market orders stop at the band.
    pub fn limit(&self, order: &Order) -> i64 {
        match (order.order_type, order.side) {
            (OrderType::Limit | OrderType::StopLimit, _) => order.price,
            (OrderType::Market | OrderType::Stop, Side::Buy) => self.terms.high,
            (OrderType::Market | OrderType::Stop, Side::Sell) => self.terms.low,
        }
    }

    /// Whether an order of this side and limit would trade at once.
    pub fn crosses(&self, side: Side, limit: i64) -> bool {
        let against = self.side(side.opposite());
        against.best().is_some_and(|level| against.within(against.level(level).price, limit))
    }

    /// Whether the last trade elects a stop.
    pub fn elects(&self, side: Side, stop_price: i64) -> bool {
        self.last_price != 0
            && match side {
                Side::Buy => stop_price <= self.last_price,
                Side::Sell => stop_price >= self.last_price,
            }
    }

    /// Whether a limit price may stand here.
    pub fn check_price(&self, price: i64, band: bool) -> Result<(), Reason> {
        if !(1..=MAX_PRICE).contains(&price) {
            return Err(Reason::InvalidPrice);
        }
        if price % self.terms.tick != 0 {
            return Err(Reason::OffTick);
        }
        if band && !(self.terms.low..=self.terms.high).contains(&price) {
            return Err(Reason::OutsideBand);
        }
        Ok(())
    }

    pub fn check_stop_price(&self, price: i64) -> Result<(), Reason> {
        if (1..=MAX_PRICE).contains(&price) && price % self.terms.tick == 0 {
            Ok(())
        } else {
            Err(Reason::InvalidStopPrice)
        }
    }

    pub fn check_quantity(&self, quantity: u64) -> Result<(), Reason> {
        if !(1..=MAX_QUANTITY).contains(&quantity) {
            return Err(Reason::InvalidQuantity);
        }
        if quantity % self.terms.lot != 0 {
            return Err(Reason::OffLot);
        }
        Ok(())
    }

    pub fn check_open(&self, before: u64, remaining: u64) -> Result<(), Reason> {
        if self.open - before + remaining > MAX_OPEN {
            return Err(Reason::BookFull);
        }
        Ok(())
    }
}

pub fn after(side: Side, level: &Level) -> LevelAfter {
    LevelAfter { side, price: level.price, quantity: level.quantity, orders: level.orders }
}
