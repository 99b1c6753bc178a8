//! State: snapshots in canonical form.

use cift_book::{Command, Core, Damaged, Side, TimeInForce};
use core_tests::{buy, hold, iceberg, sell, stop, stop_limit, Desk, TERMS};

fn full() -> Desk {
    let mut desk = Desk::open();
    desk.define(7, TERMS);
    desk.rest(&[iceberg(Side::Sell, 1, 9, 4, 101), sell(2, 5, 101), buy(3, 5, 99)]);
    desk.rest(&[stop(Side::Buy, 4, 2, 110), stop_limit(Side::Sell, 5, 2, 90, 89)]);
    desk.rest(&[Command { time_in_force: TimeInForce::Gtd as u8, expiry: 50, ..buy(6, 5, 98) }]);
    desk.rest(&[Command { instrument: 7, ..buy(8, 5, 98) }]);
    desk.send(buy(9, 2, 101));
    desk
}

#[test]
fn a_snapshot_has_the_layout_that_the_rules_tell() {
    let desk = full();
    let snapshot = desk.core.snapshot();
    assert_eq!(&snapshot[..8], b"CIFTCORE");
    assert_eq!(snapshot[8..12], 1u32.to_le_bytes());
    assert_eq!(snapshot[12..16], 2u32.to_le_bytes());
    let words = [desk.core.sequence(), desk.core.time(), desk.core.last_order(), desk.core.last_trade()];
    assert_eq!(snapshot[16..48], words.map(u64::to_le_bytes).concat());
    assert_eq!(snapshot.len(), 48 + 2 * 56 + 7 * cift_book::ORDER_SIZE + 32);
    assert_eq!(snapshot[snapshot.len() - 32..], desk.core.state_hash());
}

#[test]
fn a_restored_core_answers_as_the_other_would() {
    let mut desk = full();
    let mut other = full();
    other.core = Core::restore(&desk.core.snapshot()).unwrap();
    hold(&other.core);
    for command in [buy(10, 6, 101), sell(11, 20, 80), buy(12, 3, 120)] {
        assert_eq!(desk.send(command), other.send(command));
        assert_eq!(desk.core.state_hash(), other.core.state_hash());
    }
    assert_eq!(desk.clock(50), other.clock(50));
}

#[test]
fn the_way_to_a_state_does_not_show_in_it() {
    let mut one = Desk::open();
    one.rest(&[buy(1, 5, 100), buy(2, 5, 100), buy(3, 5, 100)]);
    one.cancel(2);
    let mut other = Desk::open();
    other.rest(&[buy(1, 5, 100), buy(3, 5, 100)]);
    for _ in 0..2 {
        other.clock(0);
    }
    assert_eq!(one.core.snapshot(), other.core.snapshot());
}

#[test]
fn a_snapshot_that_is_cut_or_changed_in_any_byte_is_refused() {
    let snapshot = full().core.snapshot();
    for length in 0..snapshot.len() {
        assert!(Core::restore(&snapshot[..length]).is_err(), "cut at {length}");
    }
    for at in 0..snapshot.len() {
        let mut damaged = snapshot.clone();
        damaged[at] ^= 0x10;
        assert!(Core::restore(&damaged).is_err(), "changed at {at}");
    }
    assert!(Core::restore(&[&snapshot[..], &[0]].concat()).is_err());
}

#[test]
fn a_refusal_says_why() {
    assert_eq!(Core::restore(b"").unwrap_err(), Damaged("it is too short"));
    let text = Core::restore(&[0; 100]).unwrap_err().to_string();
    assert!(text.contains("does not begin as one"), "{text}");
}
