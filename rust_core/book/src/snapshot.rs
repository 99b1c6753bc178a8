//! The state in canonical form: equal states give equal bytes, whatever way led to them.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::book::Book;
use crate::checks::{may_live, valid};
use crate::codes::{InstrumentState, OrderType, SelfTrade, Side, TimeInForce};
use crate::core::Core;
use crate::ladder::Ladder;
use crate::limits::{MAX_INSTRUMENT, MAX_OPEN, MAX_PRICE};
use crate::order::{Order, NIL};
use crate::record::{Terms, ORDER_SIZE};

const MAGIC: &[u8; 8] = b"CIFTCORE";
const VERSION: u32 = 1;
const HASH: usize = 32;

/// Why bytes are no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged(pub &'static str);

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a snapshot that can be restored: {}", self.0)
    }
}

impl std::error::Error for Damaged {}

impl Core {
    /// The canonical state, its SHA-256 at the end.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.len() * ORDER_SIZE);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.books().count() as u32).to_le_bytes());
        for word in [self.sequence, self.time, self.last_order, self.live.last_trade] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for book in self.books() {
            let terms = &book.terms;
            out.extend_from_slice(&book.id.to_le_bytes());
            out.extend_from_slice(&[terms.state as u8, 0, 0, 0]);
            for word in [terms.tick as u64, terms.lot, terms.low as u64, terms.high as u64, book.last_price as u64] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            let orders: u64 = book.ladders().iter().flat_map(|l| l.iter()).map(|level| u64::from(level.orders)).sum();
            out.extend_from_slice(&orders.to_le_bytes());
            self.write_orders(book, &mut out);
        }
        let hash = Sha256::digest(&out);
        out.extend_from_slice(&hash);
        out
    }

    /// SHA-256 of the canonical state.
    pub fn state_hash(&self) -> [u8; HASH] {
        let snapshot = self.snapshot();
        let mut hash = [0; HASH];
        hash.copy_from_slice(&snapshot[snapshot.len() - HASH..]);
        hash
    }

    /// Bids, asks, buy stops and sell stops of a book, each in order of priority.
    pub fn write_orders(&self, book: &Book, out: &mut Vec<u8>) {
        for level in book.ladders().iter().flat_map(|ladder| ladder.iter()) {
            let mut place = level.head;
            while place != NIL {
                out.extend_from_slice(&self.live.orders[place].encode());
                place = self.live.orders[place].next;
            }
        }
    }

    /// The core that a snapshot was taken of.
    ///
    /// # Errors
    /// The bytes are no snapshot, are damaged, or hold a state that no core can be in.
    pub fn restore(bytes: &[u8]) -> Result<Self, Damaged> {
        let body = bytes.len().checked_sub(HASH).ok_or(Damaged("it is too short"))?;
        let (body, hash) = bytes.split_at(body);
        if !body.starts_with(MAGIC) {
            return Err(Damaged("it does not begin as one"));
        }
        if Sha256::digest(body).as_slice() != hash {
            return Err(Damaged("its SHA-256 is another"));
        }
        let mut reader = Reader(&body[MAGIC.len()..]);
        if reader.u32()? != VERSION {
            return Err(Damaged("its version is another"));
        }
        let instruments = reader.u32()?;
        let mut core = Self { sequence: reader.u64()?, time: reader.u64()?, last_order: reader.u64()?, ..Self::new() };
        core.live.last_trade = reader.u64()?;
        for _ in 0..instruments {
            core.read_book(&mut reader)?;
        }
        // What was read is put in order by the books themselves: written again, it must be what came.
        if !reader.0.is_empty() || core.snapshot() != bytes {
            return Err(Damaged("it is not in canonical form"));
        }
        Ok(core)
    }

    fn read_book(&mut self, reader: &mut Reader) -> Result<(), Damaged> {
        let id = reader.u32()?;
        let state = InstrumentState::of(reader.take::<4>()?[0]).ok_or(Damaged("a state is unknown"))?;
        let terms = Terms {
            state,
            tick: reader.u64()? as i64,
            lot: reader.u64()?,
            low: reader.u64()? as i64,
            high: reader.u64()? as i64,
        };
        let last_price = reader.u64()? as i64;
        if !(1..=MAX_INSTRUMENT).contains(&id) || self.books.len() > id as usize || !valid(&terms) {
            return Err(Damaged("an instrument cannot be"));
        }
        let mut book = Book::new(id, terms);
        if !(0..=MAX_PRICE).contains(&last_price) {
            return Err(Damaged("a last price cannot be"));
        }
        book.last_price = last_price;
        for _ in 0..reader.u64()? {
            let order = read_order(id, reader.take()?)?;
            self.admit(&mut book, order)?;
        }
        if let (Some(bid), Some(ask)) = (best(&book.bids), best(&book.asks)) {
            if bid >= ask {
                return Err(Damaged("a book is crossed"));
            }
        }
        self.books.resize_with(id as usize + 1, || None);
        self.books[id as usize] = Some(Box::new(book));
        Ok(())
    }

    /// Put an order that was read where it was, if it can have been there.
    fn admit(&mut self, book: &mut Book, order: Order) -> Result<(), Damaged> {
        let visible = order.visible;
        let fits = order.id != 0
            && order.id <= self.last_order
            && self.live.place(order.id).is_none()
            && may_live(book, &order, self.time)
            && book.open.checked_add(order.remaining).is_some_and(|open| open <= MAX_OPEN);
        if !fits {
            return Err(Damaged("an order cannot be"));
        }
        let place = self.live.put(book, order);
        // A slice that was traded in part shows less than it did when it entered.
        let shown = self.live.orders[place].visible;
        book.lessen(&mut self.live.orders, place, shown - visible, 0);
        Ok(())
    }
}

fn best(ladder: &Ladder) -> Option<i64> {
    ladder.best().map(|level| ladder.level(level).price)
}

fn read_order(instrument: u32, bytes: &[u8; ORDER_SIZE]) -> Result<Order, Damaged> {
    let mut reader = Reader(bytes);
    let unknown = Damaged("a code of an order is unknown");
    Ok(Order {
        id: reader.u64()?,
        account: reader.u64()?,
        quantity: reader.u64()?,
        remaining: reader.u64()?,
        visible: reader.u64()?,
        display: reader.u64()?,
        price: reader.u64()? as i64,
        stop_price: reader.u64()? as i64,
        expiry: reader.u64()?,
        instrument,
        side: Side::of(bytes[72]).ok_or(unknown)?,
        order_type: OrderType::of(bytes[73]).ok_or(unknown)?,
        time_in_force: TimeInForce::of(bytes[74]).ok_or(unknown)?,
        self_trade: SelfTrade::of(bytes[75]).ok_or(unknown)?,
        flags: bytes[76],
        waiting: bytes[77] == 1,
        level: NIL,
        previous: NIL,
        next: NIL,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Damaged> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, Damaged> {
        Ok(u32::from_le_bytes(*self.take()?))
    }

    fn u64(&mut self) -> Result<u64, Damaged> {
        Ok(u64::from_le_bytes(*self.take()?))
    }
}
