#![doc = include_str!("../../RULES.md")]
#![forbid(unsafe_code)]

mod book;
mod checks;
mod codes;
mod core;
mod ladder;
mod limits;
mod live;
mod matching;
mod order;
mod record;
mod snapshot;
mod tape;

pub use book::Book;
pub use codes::*;
pub use core::{Core, Malformed};
pub use ladder::{Ladder, Level};
pub use limits::*;
pub use order::Order;
pub use record::*;
pub use snapshot::Damaged;
