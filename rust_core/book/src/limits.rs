//! Limits of the core: with them no sum can overflow and no command works without end.

/// Highest price, ticks: what a double holds exactly, for those who read it as JSON.
pub const MAX_PRICE: i64 = (1 << 53) - 1;
/// Highest quantity of an order, lots.
pub const MAX_QUANTITY: u64 = (1 << 53) - 1;
/// Highest sum of what remains of all orders of one instrument, lots.
pub const MAX_OPEN: u64 = i64::MAX as u64;
/// Highest number of slices of an iceberg: each costs whoever trades through it.
pub const MAX_SLICES: u64 = 1000;
/// Highest number of an instrument.
pub const MAX_INSTRUMENT: u32 = u16::MAX as u32;
/// Highest number of orders that live at once: places are 32 bits wide.
pub const MAX_ORDERS: usize = 1 << 26;
