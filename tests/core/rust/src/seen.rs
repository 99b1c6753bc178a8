//! Events and orders as their records tell them, read here by the layout that the binding documents.

use std::fmt;

use cift_book::{EventKind, Reason, EVENT_SIZE, ORDER_SIZE};

fn word(record: &[u8], at: usize) -> u64 {
    record[at..at + 8].iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn half(record: &[u8], at: usize) -> u32 {
    record[at..at + 4].iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

/// An event as its record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub sequence: u64,
    pub timestamp: u64,
    pub instrument: u32,
    pub kind: EventKind,
    pub side: u8,
    pub reason: Reason,
    pub level_side: u8,
    pub index: u32,
    pub level_orders: u32,
    pub order: u64,
    pub account: u64,
    pub price: i64,
    pub quantity: u64,
    pub remaining: u64,
    pub visible: u64,
    pub maker: u64,
    pub maker_account: u64,
    pub maker_remaining: u64,
    pub trade: u64,
    pub level_price: i64,
    pub level_quantity: u64,
}

impl Seen {
    /// Every event of a buffer; panics where one is no event.
    pub fn all(records: &[u8]) -> Vec<Self> {
        assert_eq!(records.len() % EVENT_SIZE, 0, "a buffer of events ends within one");
        records.chunks_exact(EVENT_SIZE).map(Self::of).collect()
    }

    fn of(record: &[u8]) -> Self {
        Self {
            sequence: word(record, 0),
            timestamp: word(record, 8),
            instrument: half(record, 16),
            kind: EventKind::of(record[20]).expect("a kind of event"),
            side: record[21],
            reason: Reason::of(record[22]).expect("a reason"),
            level_side: record[23],
            index: half(record, 24),
            level_orders: half(record, 28),
            order: word(record, 32),
            account: word(record, 40),
            price: word(record, 48) as i64,
            quantity: word(record, 56),
            remaining: word(record, 64),
            visible: word(record, 72),
            maker: word(record, 80),
            maker_account: word(record, 88),
            maker_remaining: word(record, 96),
            trade: word(record, 104),
            level_price: word(record, 112) as i64,
            level_quantity: word(record, 120),
        }
    }
}

/// What happened, in words that a test can be read by: `TRADE 2 5@100 with 1`, `CANCELED 2 5 UNFILLED`.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |all: &[(&'static str, u8)], code| all.iter().find(|(_, c)| *c == code).map_or("?", |(name, _)| *name);
        write!(f, "{} {} {}", name(EventKind::ALL, self.kind as u8), self.order, self.quantity)?;
        if matches!(self.kind, EventKind::Trade | EventKind::Rested) {
            write!(f, "@{}", self.price)?;
        }
        if self.kind == EventKind::Trade {
            write!(f, " with {}", self.maker)?;
        }
        if self.reason != Reason::None {
            write!(f, " {}", name(Reason::ALL, self.reason as u8))?;
        }
        Ok(())
    }
}

/// An order as its record in the L3 view and in a snapshot has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    pub order: u64,
    pub account: u64,
    pub quantity: u64,
    pub remaining: u64,
    pub visible: u64,
    pub display: u64,
    pub price: i64,
    pub stop_price: i64,
    pub expiry: u64,
    pub side: u8,
    pub waiting: bool,
}

impl Resting {
    pub fn all(records: &[u8]) -> Vec<Self> {
        assert_eq!(records.len() % ORDER_SIZE, 0, "a buffer of orders ends within one");
        records
            .chunks_exact(ORDER_SIZE)
            .map(|record| Self {
                order: word(record, 0),
                account: word(record, 8),
                quantity: word(record, 16),
                remaining: word(record, 24),
                visible: word(record, 32),
                display: word(record, 40),
                price: word(record, 48) as i64,
                stop_price: word(record, 56) as i64,
                expiry: word(record, 64),
                side: record[72],
                waiting: record[77] == 1,
            })
            .collect()
    }
}
