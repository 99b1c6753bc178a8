//! What the tests share: a desk to send commands from, their events as values, and an audit that follows them.

#![forbid(unsafe_code)]

mod audit;
mod desk;
mod fuzz;
mod seen;
mod whole;

pub use audit::Audit;
pub use desk::{buy, iceberg, limit, market, sell, stop, stop_limit, Desk, TERMS};
pub use fuzz::{tell, Told};
pub use seen::{Resting, Seen};
pub use whole::hold;
