//! Where events are written.

use crate::record::{Event, EVENT_SIZE};

/// The events of one command, appended to a buffer.
pub struct Tape<'a> {
    out: &'a mut Vec<u8>,
    sequence: u64,
    time: u64,
    index: u32,
}

impl<'a> Tape<'a> {
    pub fn new(out: &'a mut Vec<u8>, sequence: u64, time: u64) -> Self {
        Self { out, sequence, time, index: 0 }
    }

    pub fn emit(&mut self, instrument: u32, event: &Event) {
        let mut bytes = [0; EVENT_SIZE];
        bytes[0..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time.to_le_bytes());
        bytes[16..20].copy_from_slice(&instrument.to_le_bytes());
        bytes[20] = event.kind as u8;
        bytes[21] = event.side;
        bytes[22] = event.reason as u8;
        bytes[24..28].copy_from_slice(&self.index.to_le_bytes());
        bytes[32..40].copy_from_slice(&event.order_id.to_le_bytes());
        bytes[40..48].copy_from_slice(&event.account.to_le_bytes());
        bytes[48..56].copy_from_slice(&event.price.to_le_bytes());
        bytes[56..64].copy_from_slice(&event.quantity.to_le_bytes());
        bytes[64..72].copy_from_slice(&event.remaining.to_le_bytes());
        bytes[72..80].copy_from_slice(&event.visible.to_le_bytes());
        bytes[80..88].copy_from_slice(&event.maker.order_id.to_le_bytes());
        bytes[88..96].copy_from_slice(&event.maker.account.to_le_bytes());
        bytes[96..104].copy_from_slice(&event.maker.remaining.to_le_bytes());
        bytes[104..112].copy_from_slice(&event.trade_id.to_le_bytes());
        if let Some(level) = event.level {
            bytes[23] = level.side as u8;
            bytes[28..32].copy_from_slice(&level.orders.to_le_bytes());
            bytes[112..120].copy_from_slice(&level.price.to_le_bytes());
            bytes[120..128].copy_from_slice(&level.quantity.to_le_bytes());
        }
        self.out.extend_from_slice(&bytes);
        self.index = self.index.wrapping_add(1);
    }
}
