//! Commands in, events out: fixed-size little-endian records. The layouts are part of the binding's contract.

use crate::codes::{EventKind, InstrumentState, Reason, Side};

/// Bytes of a command.
pub const COMMAND_SIZE: usize = 88;
/// Bytes of an event.
pub const EVENT_SIZE: usize = 128;
/// Bytes of an order in a snapshot and in the L3 view.
pub const ORDER_SIZE: usize = 80;

/// Python's `struct` formats of the records: sizes and offsets are tested against these.
pub const COMMAND_FORMAT: &str = "<QQIBBBBBB6xQQQQqqQ";
pub const INSTRUMENT_FORMAT: &str = "<QQIBB10xqQqq24x";
pub const EVENT_FORMAT: &str = "<QQIBBBBIIQQqQQQQQQQqQ";
pub const ORDER_FORMAT: &str = "<QQQQQQqqQBBBBBBxx";

fn u64_at(bytes: &[u8; COMMAND_SIZE], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn i64_at(bytes: &[u8; COMMAND_SIZE], at: usize) -> i64 {
    u64_at(bytes, at) as i64
}

/// A command as it came: codes are bytes until a verb reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Command {
    pub sequence: u64,
    pub timestamp: u64,
    pub instrument: u32,
    pub kind: u8,
    pub side: u8,
    pub order_type: u8,
    pub time_in_force: u8,
    pub self_trade: u8,
    pub flags: u8,
    pub account: u64,
    pub order_id: u64,
    pub quantity: u64,
    pub display: u64,
    pub price: i64,
    pub stop_price: i64,
    pub expiry: u64,
}

impl Command {
    pub fn decode(bytes: &[u8; COMMAND_SIZE]) -> Self {
        Self {
            sequence: u64_at(bytes, 0),
            timestamp: u64_at(bytes, 8),
            instrument: u64_at(bytes, 16) as u32,
            kind: bytes[20],
            side: bytes[21],
            order_type: bytes[22],
            time_in_force: bytes[23],
            self_trade: bytes[24],
            flags: bytes[25],
            account: u64_at(bytes, 32),
            order_id: u64_at(bytes, 40),
            quantity: u64_at(bytes, 48),
            display: u64_at(bytes, 56),
            price: i64_at(bytes, 64),
            stop_price: i64_at(bytes, 72),
            expiry: u64_at(bytes, 80),
        }
    }

    pub fn encode(&self) -> [u8; COMMAND_SIZE] {
        let mut bytes = [0; COMMAND_SIZE];
        bytes[0..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.timestamp.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.instrument.to_le_bytes());
        bytes[20..26].copy_from_slice(&[
            self.kind,
            self.side,
            self.order_type,
            self.time_in_force,
            self.self_trade,
            self.flags,
        ]);
        bytes[32..40].copy_from_slice(&self.account.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.order_id.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.quantity.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.display.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.price.to_le_bytes());
        bytes[72..80].copy_from_slice(&self.stop_price.to_le_bytes());
        bytes[80..88].copy_from_slice(&self.expiry.to_le_bytes());
        bytes
    }
}

/// What an instrument is traded by: prices are multiples of `tick` within `low..=high`, quantities multiples of `lot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub state: InstrumentState,
    pub tick: i64,
    pub lot: u64,
    pub low: i64,
    pub high: i64,
}

/// The body of a command that defines an instrument, in the layout of [`INSTRUMENT_FORMAT`]; its state is in the place
/// of the side, its terms in those of account, order id, quantity and display.
impl Command {
    pub fn terms(&self) -> Option<Terms> {
        let state = InstrumentState::of(self.side)?;
        Some(Terms {
            state,
            tick: self.account as i64,
            lot: self.order_id,
            low: self.quantity as i64,
            high: self.display as i64,
        })
    }

    pub fn with_terms(mut self, terms: Terms) -> Self {
        self.side = terms.state as u8;
        self.account = terms.tick as u64;
        self.order_id = terms.lot;
        self.quantity = terms.low as u64;
        self.display = terms.high as u64;
        self
    }
}

/// A level of the book after an event that changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelAfter {
    pub side: Side,
    pub price: i64,
    /// What is displayed at the price; hidden quantity is not in it.
    pub quantity: u64,
    pub orders: u32,
}

/// The resting order of a trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    pub order_id: u64,
    pub account: u64,
    pub remaining: u64,
}

/// An event, less what its [`crate::tape::Tape`] knows: sequence, time, instrument, number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub reason: Reason,
    pub side: u8,
    pub order_id: u64,
    pub account: u64,
    pub price: i64,
    pub quantity: u64,
    pub remaining: u64,
    pub visible: u64,
    pub maker: Maker,
    pub trade_id: u64,
    pub level: Option<LevelAfter>,
}

impl Event {
    pub const fn of(kind: EventKind) -> Self {
        Self {
            kind,
            reason: Reason::None,
            side: 0,
            order_id: 0,
            account: 0,
            price: 0,
            quantity: 0,
            remaining: 0,
            visible: 0,
            maker: Maker { order_id: 0, account: 0, remaining: 0 },
            trade_id: 0,
            level: None,
        }
    }
}
