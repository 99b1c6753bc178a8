//! A price-time priority limit order book.
//!
//! A deterministic function of its command sequence: prices in ticks, quantities in lots, no clock, no floats, no I/O.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap, VecDeque};

pub type OrderId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Buy,
    Sell,
}

/// An execution: the maker rested, the taker came; the price is the maker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    pub sequence: u64,
    pub maker: OrderId,
    pub taker: OrderId,
    pub price: u64,
    pub quantity: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    ZeroPrice,
    ZeroQuantity,
    UnknownOrder,
}

#[derive(Debug)]
struct Resting {
    id: OrderId,
    quantity: u64,
}

type Level = VecDeque<Resting>;

/// What became of an order on arrival.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub id: OrderId,
    pub remaining: u64,
    pub trades: Vec<Trade>,
}

#[derive(Default, Debug)]
pub struct Book {
    bids: BTreeMap<u64, Level>,
    asks: BTreeMap<u64, Level>,
    places: HashMap<OrderId, (Side, u64)>,
    last_order: OrderId,
    last_trade: u64,
}

impl Book {
    pub fn new() -> Self {
        Self::default()
    }

    /// A limit order: matched against the other side as far as its price allows, the rest put to rest.
    pub fn submit(&mut self, side: Side, price: u64, quantity: u64) -> Result<Outcome, Error> {
        if price == 0 {
            return Err(Error::ZeroPrice);
        }
        if quantity == 0 {
            return Err(Error::ZeroQuantity);
        }
        self.last_order += 1;
        let id = self.last_order;
        let mut remaining = quantity;
        let mut trades = Vec::new();
        while remaining > 0 {
            let best = match side {
                Side::Buy => self.asks.first_entry().filter(|level| *level.key() <= price),
                Side::Sell => self.bids.last_entry().filter(|level| *level.key() >= price),
            };
            let Some(mut level) = best else { break };
            let at = *level.key();
            let queue = level.get_mut();
            while remaining > 0 {
                let Some(maker) = queue.front_mut() else { break };
                let traded = remaining.min(maker.quantity);
                maker.quantity -= traded;
                remaining -= traded;
                self.last_trade += 1;
                trades.push(Trade {
                    sequence: self.last_trade,
                    maker: maker.id,
                    taker: id,
                    price: at,
                    quantity: traded,
                });
                if maker.quantity == 0 {
                    self.places.remove(&maker.id);
                    queue.pop_front();
                }
            }
            if queue.is_empty() {
                level.remove();
            }
        }
        if remaining > 0 {
            self.side(side).entry(price).or_default().push_back(Resting { id, quantity: remaining });
            self.places.insert(id, (side, price));
        }
        Ok(Outcome { id, remaining, trades })
    }

    /// Take a resting order away; the quantity that it still had.
    pub fn cancel(&mut self, id: OrderId) -> Result<u64, Error> {
        let (side, price) = self.places.remove(&id).ok_or(Error::UnknownOrder)?;
        let levels = self.side(side);
        let level = levels.get_mut(&price).ok_or(Error::UnknownOrder)?;
        let at = level.iter().position(|order| order.id == id).ok_or(Error::UnknownOrder)?;
        let quantity = level.remove(at).map_or(0, |order| order.quantity);
        if level.is_empty() {
            levels.remove(&price);
        }
        Ok(quantity)
    }

    /// Price levels of a side, best first: `(price, quantity, orders)`.
    pub fn depth(&self, side: Side, levels: usize) -> Vec<(u64, u64, usize)> {
        let row = |(price, level): (&u64, &Level)| {
            (*price, level.iter().map(|order| order.quantity).sum(), level.len())
        };
        match side {
            Side::Buy => self.bids.iter().rev().take(levels).map(row).collect(),
            Side::Sell => self.asks.iter().take(levels).map(row).collect(),
        }
    }

    fn side(&mut self, side: Side) -> &mut BTreeMap<u64, Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_order_at_the_same_price_trades_first() {
        let mut book = Book::new();
        let first = book.submit(Side::Sell, 100, 5).unwrap().id;
        let second = book.submit(Side::Sell, 100, 5).unwrap().id;
        let outcome = book.submit(Side::Buy, 100, 7).unwrap();
        let makers: Vec<_> = outcome.trades.iter().map(|t| (t.maker, t.quantity)).collect();
        assert_eq!(makers, [(first, 5), (second, 2)]);
    }

    #[test]
    fn a_better_price_trades_first_and_at_the_makers_price() {
        let mut book = Book::new();
        book.submit(Side::Sell, 102, 1).unwrap();
        book.submit(Side::Sell, 101, 1).unwrap();
        let outcome = book.submit(Side::Buy, 105, 2).unwrap();
        assert_eq!(outcome.trades.iter().map(|t| t.price).collect::<Vec<_>>(), [101, 102]);
        assert_eq!(outcome.remaining, 0);
    }

    #[test]
    fn what_does_not_trade_rests_and_can_be_cancelled_once() {
        let mut book = Book::new();
        let id = book.submit(Side::Buy, 99, 3).unwrap().id;
        assert_eq!(book.depth(Side::Buy, 5), [(99, 3, 1)]);
        assert_eq!(book.cancel(id), Ok(3));
        assert_eq!(book.cancel(id), Err(Error::UnknownOrder));
        assert!(book.depth(Side::Buy, 5).is_empty());
    }

    #[test]
    fn quantity_is_conserved_and_the_book_never_crosses() {
        let mut book = Book::new();
        let (mut state, mut sent, mut resting) = (12345u64, 0u64, 0u64);
        for _ in 0..20_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let side = if state >> 63 == 0 { Side::Buy } else { Side::Sell };
            let (price, quantity) = (95 + (state >> 33) % 11, 1 + (state >> 20) % 9);
            sent += quantity;
            let outcome = book.submit(side, price, quantity).unwrap();
            let traded: u64 = outcome.trades.iter().map(|t| t.quantity).sum();
            assert_eq!(traded + outcome.remaining, quantity);
            resting = resting + outcome.remaining - traded;
            let best = |s| book.depth(s, 1).first().map(|l| l.0);
            if let (Some(bid), Some(ask)) = (best(Side::Buy), best(Side::Sell)) {
                assert!(bid < ask);
            }
        }
        let left: u64 = [Side::Buy, Side::Sell].iter().flat_map(|s| book.depth(*s, 99)).map(|l| l.1).sum();
        assert_eq!(left, resting);
        assert!(sent > left);
    }
}
