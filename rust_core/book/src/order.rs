//! Orders that live, in one slab; each is a link of its level's queue.

use crate::codes::{OrderType, SelfTrade, Side, TimeInForce};
use crate::record::ORDER_SIZE;

/// No order: the end of a queue.
pub const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: u64,
    pub account: u64,
    /// Total: what has traded included, what self-trade prevention took away not.
    pub quantity: u64,
    pub remaining: u64,
    /// The part of `remaining` that the book displays; 0 while it does not rest.
    pub visible: u64,
    /// Size of a slice; 0 shows all.
    pub display: u64,
    pub price: i64,
    pub stop_price: i64,
    pub expiry: u64,
    pub instrument: u32,
    pub side: Side,
    pub order_type: OrderType,
    pub time_in_force: TimeInForce,
    pub self_trade: SelfTrade,
    pub flags: u8,
    /// A stop that was not triggered yet.
    pub waiting: bool,
    pub(crate) level: u32,
    pub(crate) previous: u32,
    pub(crate) next: u32,
}

impl Order {
    /// What the book displays of it when it enters a level or shows its next slice.
    pub fn slice(&self) -> u64 {
        if self.display == 0 {
            self.remaining
        } else {
            self.display.min(self.remaining)
        }
    }

    pub fn traded(&self) -> u64 {
        self.quantity - self.remaining
    }

    pub fn encode(&self) -> [u8; ORDER_SIZE] {
        let mut bytes = [0; ORDER_SIZE];
        let words = [self.id, self.account, self.quantity, self.remaining, self.visible, self.display];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[48..56].copy_from_slice(&self.price.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.stop_price.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.expiry.to_le_bytes());
        bytes[72..78].copy_from_slice(&[
            self.side as u8,
            self.order_type as u8,
            self.time_in_force as u8,
            self.self_trade as u8,
            self.flags,
            u8::from(self.waiting),
        ]);
        bytes
    }
}

/// Places of orders: a place is kept until its order is taken out, then given to a later one.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    places: Vec<Order>,
    free: Vec<u32>,
}

impl Orders {
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn put(&mut self, order: Order) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = order;
                place
            }
            None => {
                self.places.push(order);
                (self.places.len() - 1) as u32
            }
        }
    }

    pub fn take(&mut self, place: u32) -> Order {
        self.free.push(place);
        self.places[place as usize]
    }
}

impl std::ops::Index<u32> for Orders {
    type Output = Order;

    fn index(&self, place: u32) -> &Order {
        &self.places[place as usize]
    }
}

impl std::ops::IndexMut<u32> for Orders {
    fn index_mut(&mut self, place: u32) -> &mut Order {
        &mut self.places[place as usize]
    }
}
