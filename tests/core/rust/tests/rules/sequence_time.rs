//! Sequence and time.

use cift_book::{Command, CommandKind, Core, Malformed, Side, TimeInForce, COMMAND_SIZE};
use core_tests::{buy, Desk};

fn clock(sequence: u64, timestamp: u64) -> [u8; COMMAND_SIZE] {
    Command { sequence, timestamp, kind: CommandKind::Clock as u8, ..Command::default() }.encode()
}

fn until(order: u64, expiry: u64) -> Command {
    Command { time_in_force: TimeInForce::Gtd as u8, expiry, ..buy(order, 5, 100) }
}

#[test]
fn a_sequence_may_have_gaps_but_must_grow() {
    let (mut core, mut events) = (Core::new(), Vec::new());
    core.apply(&clock(5, 0), &mut events).unwrap();
    core.apply(&clock(u64::MAX, 0), &mut events).unwrap();
    assert_eq!(core.sequence(), u64::MAX);
}

#[test]
fn a_buffer_with_a_sequence_that_does_not_grow_is_refused_whole() {
    for (bad, last) in [(7, 7), (6, 7), (0, 7)] {
        let (mut core, mut events) = (Core::new(), Vec::new());
        core.apply(&clock(5, 1), &mut events).unwrap();
        let before = core.snapshot();
        let buffer = [clock(6, 9), clock(7, 9), clock(bad, 9)].concat();
        let refused = core.apply(&buffer, &mut events).unwrap_err();
        assert_eq!(refused, Malformed::Sequence { index: 2, sequence: bad, last });
        assert!(refused.to_string().contains("command 2"));
        assert_eq!(core.snapshot(), before);
    }
}

#[test]
fn a_first_sequence_of_zero_is_refused() {
    let refused = Core::new().apply(&clock(0, 0), &mut Vec::new()).unwrap_err();
    assert_eq!(refused, Malformed::Sequence { index: 0, sequence: 0, last: 0 });
}

#[test]
fn a_buffer_that_ends_within_a_command_is_refused_whole() {
    let (mut core, mut events) = (Core::new(), Vec::new());
    let buffer = [&clock(1, 0)[..], &clock(2, 0)[..87]].concat();
    assert_eq!(core.apply(&buffer, &mut events), Err(Malformed::Length(175)));
    assert_eq!((core.sequence(), events.len()), (0, 0));
}

#[test]
fn time_never_goes_back() {
    let (mut core, mut events) = (Core::new(), Vec::new());
    core.apply(&clock(1, 50), &mut events).unwrap();
    core.apply(&clock(2, 40), &mut events).unwrap();
    assert_eq!(core.time(), 50);
}

#[test]
fn a_clock_alone_has_no_event() {
    assert!(Desk::open().clock(10).is_empty());
}

#[test]
fn orders_end_at_their_expiry_by_expiry_and_then_order_id() {
    let mut desk = Desk::open();
    desk.rest(&[until(1, 30), until(2, 20), until(3, 20), until(4, 31)]);
    assert!(desk.clock(19).is_empty());
    let expected = ["EXPIRED 2 5 TIME_REACHED", "EXPIRED 3 5 TIME_REACHED", "EXPIRED 1 5 TIME_REACHED"];
    assert_eq!(desk.clock(30), expected);
    assert_eq!(desk.queue(), [4]);
}

#[test]
fn an_order_that_is_due_does_not_trade_with_the_command_that_brings_the_time() {
    let mut desk = Desk::open();
    desk.rest(&[until(1, 20)]);
    let late = Command { timestamp: 20, ..core_tests::sell(2, 5, 100) };
    assert_eq!(desk.send(late), ["EXPIRED 1 5 TIME_REACHED", "ACCEPTED 2 5", "RESTED 2 5@100"]);
}

#[test]
fn what_expired_by_a_rejected_command_stays_expired() {
    let mut desk = Desk::open();
    desk.rest(&[until(1, 20)]);
    let bad = Command { timestamp: 25, quantity: 0, ..buy(2, 5, 100) };
    assert_eq!(desk.send(bad), ["EXPIRED 1 5 TIME_REACHED", "REJECTED 2 0 INVALID_QUANTITY"]);
    assert_eq!(desk.core.time(), 25);
}

#[test]
fn a_stop_that_waits_expires_too() {
    let mut desk = Desk::open();
    let waiting = core_tests::stop(Side::Buy, 1, 5, 100);
    desk.rest(&[Command { time_in_force: TimeInForce::Gtd as u8, expiry: 10, ..waiting }]);
    assert_eq!(desk.clock(10), ["EXPIRED 1 5 TIME_REACHED"]);
}
