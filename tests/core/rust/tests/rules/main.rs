//! The rules of `rust_core/RULES.md`, section by section.

mod acting;
mod cancel_replace;
mod checks;
mod instruments;
mod limits;
mod priority;
mod self_trade;
mod sequence_time;
mod state;
mod stops;
mod types;
