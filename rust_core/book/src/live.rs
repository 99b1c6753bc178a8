//! All orders that live, by id and by expiry.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::book::Book;
use crate::codes::{EventKind, Reason, TimeInForce};
use crate::matching::event;
use crate::order::{Order, Orders};
use crate::record::LevelAfter;
use crate::tape::Tape;

/// Order ids come from the venue and count up, so nobody can choose them to collide: one multiplication spreads them.
#[derive(Clone, Copy, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        let wide = u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

#[derive(Clone, Debug, Default)]
pub struct Live {
    pub orders: Orders,
    places: HashMap<u64, u32, BuildHasherDefault<IdHasher>>,
    expiries: BTreeSet<(u64, u64)>,
    pub last_trade: u64,
}

impl Live {
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    pub fn place(&self, id: u64) -> Option<u32> {
        self.places.get(&id).copied()
    }

    /// The first order that has expired at `time`.
    pub fn due(&self, time: u64) -> Option<u32> {
        let (expiry, id) = self.expiries.first()?;
        if *expiry > time {
            return None;
        }
        self.place(*id)
    }

    pub fn put(&mut self, book: &mut Book, order: Order) -> u32 {
        if order.time_in_force == TimeInForce::Gtd {
            self.expiries.insert((order.expiry, order.id));
        }
        let id = order.id;
        let place = self.orders.put(order);
        self.places.insert(id, place);
        book.enter(&mut self.orders, place);
        place
    }

    /// Take an order out of book and store: it as it was, and the level that it left.
    pub fn take(&mut self, book: &mut Book, place: u32) -> (Order, Option<LevelAfter>) {
        let level = book.leave(&mut self.orders, place);
        let order = self.orders.take(place);
        self.places.remove(&order.id);
        if order.time_in_force == TimeInForce::Gtd {
            self.expiries.remove(&(order.expiry, order.id));
        }
        (order, level)
    }

    /// End an order before it was filled.
    pub fn cancel(&mut self, book: &mut Book, place: u32, kind: EventKind, reason: Reason, tape: &mut Tape) {
        let (mut order, level) = self.take(book, place);
        let quantity = std::mem::take(&mut order.remaining);
        order.visible = 0;
        let mut ended = event(kind, reason, &order, quantity);
        ended.level = level;
        tape.emit(book.id, &ended);
    }

    /// Ids of the orders for which `wanted` holds, ascending. Time is linear in the places of orders.
    pub fn ids(&self, wanted: impl Fn(&Order) -> bool) -> Vec<u64> {
        let mut ids: Vec<u64> =
            self.places.iter().filter(|(_, place)| wanted(&self.orders[**place])).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }
}
