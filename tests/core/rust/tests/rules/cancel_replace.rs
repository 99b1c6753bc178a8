//! Cancel, replace and mass cancel.

use cift_book::{Command, CommandKind, InstrumentState, Reason, Side};
use core_tests::{buy, sell, stop, Desk, TERMS};

fn mass_cancel(account: u64, instrument: u32, side: u8) -> Command {
    Command { kind: CommandKind::MassCancel as u8, account, instrument, side, ..Command::default() }
}

#[test]
fn cancel_ends_an_order_in_any_state_of_its_instrument() {
    for state in [InstrumentState::Open, InstrumentState::Halted, InstrumentState::Closed] {
        let mut desk = Desk::open();
        desk.rest(&[buy(1, 5, 100)]);
        desk.state(1, state);
        assert_eq!(desk.cancel(1), ["CANCELED 1 5 REQUESTED"], "{state:?}");
    }
}

#[test]
fn cancel_takes_what_is_left() {
    let mut desk = Desk::open();
    desk.rest(&[buy(1, 5, 100)]);
    desk.send(sell(2, 2, 100));
    assert_eq!(desk.cancel(1), ["CANCELED 1 3 REQUESTED"]);
    assert_eq!(desk.cancel(1), ["REJECTED 1 0 UNKNOWN_ORDER"]);
}

#[test]
fn nobody_cancels_or_replaces_an_order_of_another_account() {
    let mut desk = Desk::open();
    desk.rest(&[buy(1, 5, 100)]);
    for kind in [CommandKind::Cancel, CommandKind::Replace] {
        let command = Command { kind: kind as u8, account: 2, ..buy(1, 5, 99) };
        assert_eq!(desk.refused(command), Reason::UnknownOrder);
    }
}

#[test]
fn the_total_of_a_replace_counts_what_has_traded() {
    let mut desk = Desk::open();
    desk.rest(&[buy(1, 5, 100)]);
    desk.send(sell(2, 2, 100));
    assert_eq!(desk.refused(Desk::replacement(1, 2, 100)), Reason::QuantityTooLow);
    assert_eq!(desk.replace(1, 10, 100), ["REPLACED 1 10", "RESTED 1 8@100"]);
    assert_eq!((desk.orders()[0].quantity, desk.orders()[0].remaining), (10, 8));
}

#[test]
fn a_replaced_order_may_trade_at_once() {
    let mut desk = Desk::open();
    desk.rest(&[buy(1, 5, 99), sell(2, 3, 100)]);
    assert_eq!(desk.replace(1, 5, 100), ["REPLACED 1 5", "TRADE 1 3@100 with 2", "RESTED 1 2@100"]);
}

#[test]
fn a_replace_tells_the_level_that_the_order_left() {
    let mut desk = Desk::open();
    desk.rest(&[buy(1, 5, 99), buy(2, 4, 99)]);
    let events = desk.events(Desk::replacement(1, 5, 98));
    assert_eq!((events[0].level_price, events[0].level_quantity, events[0].level_orders), (99, 4, 1));
    assert_eq!(events[0].visible, 0);
    let events = desk.events(Desk::replacement(2, 3, 99));
    assert_eq!((events[0].level_price, events[0].level_quantity, events[0].visible), (99, 3, 3));
}

#[test]
fn mass_cancel_ends_all_that_match_by_order_id_stops_too() {
    let fill = || {
        let mut desk = Desk::open();
        desk.define(2, TERMS);
        let of = |account, command| Command { account, ..command };
        let in_two = |command| Command { instrument: 2, ..command };
        desk.rest(&[of(7, buy(1, 1, 99)), of(8, sell(2, 1, 105)), of(7, in_two(sell(3, 1, 105)))]);
        desk.rest(&[of(7, stop(Side::Buy, 4, 1, 110)), of(8, in_two(buy(5, 1, 98)))]);
        desk
    };
    let buys = Side::Buy as u8;
    for (account, instrument, side, orders) in [
        (0, 0, 0, &[1, 2, 3, 4, 5][..]),
        (7, 0, 0, &[1, 3, 4]),
        (0, 1, 0, &[1, 2, 4]),
        (0, 0, buys, &[1, 4, 5]),
        (7, 1, buys, &[1, 4]),
        (9, 0, 0, &[]),
    ] {
        let mut expected: Vec<String> = orders.iter().map(|order| format!("CANCELED {order} 1 MASS_CANCEL")).collect();
        expected.push(format!("MASS_CANCELED 0 {}", orders.len()));
        let mut desk = fill();
        desk.state(1, InstrumentState::Halted);
        assert_eq!(desk.send(mass_cancel(account, instrument, side)), expected);
    }
}

#[test]
fn mass_cancel_of_what_is_not_there_is_refused() {
    let mut desk = Desk::open();
    assert_eq!(desk.refused(mass_cancel(0, 9, 3)), Reason::InvalidCode);
    assert_eq!(desk.refused(mass_cancel(0, 9, 1)), Reason::UnknownInstrument);
}
