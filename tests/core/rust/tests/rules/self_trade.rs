//! Self-trade prevention: the mode of the incoming order decides.

use cift_book::{Command, SelfTrade, Side, TimeInForce};
use core_tests::{buy, iceberg, sell, Desk};

/// Of account 9, with a mode.
fn own(mode: SelfTrade, command: Command) -> Command {
    Command { account: 9, self_trade: mode as u8, ..command }
}

/// Asks at 100: one of the account's, then one of another.
fn asks(own_quantity: u64) -> Desk {
    let mut desk = Desk::open();
    desk.rest(&[own(SelfTrade::CancelNewest, sell(1, own_quantity, 100)), sell(2, 5, 100)]);
    desk
}

#[test]
fn allow_lets_them_trade() {
    assert_eq!(asks(5).send(own(SelfTrade::Allow, buy(3, 5, 100))), ["ACCEPTED 3 5", "TRADE 3 5@100 with 1"]);
}

#[test]
fn cancel_newest_ends_the_incoming_order() {
    let mut desk = asks(5);
    assert_eq!(desk.send(own(SelfTrade::CancelNewest, buy(3, 5, 100))), ["ACCEPTED 3 5", "CANCELED 3 5 SELF_TRADE"]);
    assert_eq!(desk.queue(), [1, 2]);
}

#[test]
fn cancel_oldest_ends_the_resting_order_whole_and_goes_on() {
    let mut desk = Desk::open();
    desk.rest(&[own(SelfTrade::Allow, iceberg(Side::Sell, 1, 7, 2, 100)), sell(2, 5, 100)]);
    let expected = ["ACCEPTED 3 5", "CANCELED 1 7 SELF_TRADE", "TRADE 3 5@100 with 2"];
    assert_eq!(desk.send(own(SelfTrade::CancelOldest, buy(3, 5, 100))), expected);
    assert!(desk.core.is_empty());
}

#[test]
fn cancel_both_ends_the_resting_order_first() {
    let mut desk = asks(5);
    let expected = ["ACCEPTED 3 5", "CANCELED 1 5 SELF_TRADE", "CANCELED 3 5 SELF_TRADE"];
    assert_eq!(desk.send(own(SelfTrade::CancelBoth, buy(3, 5, 100))), expected);
    assert_eq!(desk.queue(), [2]);
}

#[test]
fn decrement_lessens_both_without_a_trade() {
    let mut desk = asks(5);
    let expected = ["ACCEPTED 3 7", "CANCELED 1 5 SELF_TRADE", "RESTATED 3 5 SELF_TRADE", "TRADE 3 2@100 with 2"];
    assert_eq!(desk.send(own(SelfTrade::Decrement, buy(3, 7, 100))), expected);
    let mut desk = asks(5);
    let expected = ["ACCEPTED 3 2", "RESTATED 1 2 SELF_TRADE", "CANCELED 3 2 SELF_TRADE"];
    assert_eq!(desk.send(own(SelfTrade::Decrement, buy(3, 2, 100))), expected);
    let left = desk.orders()[0];
    assert_eq!((left.order, left.quantity, left.remaining), (1, 3, 3), "the total is lessened too");
    assert_eq!(desk.core.last_trade(), 0);
}

#[test]
fn decrement_takes_a_slice_at_a_time() {
    let mut desk = Desk::open();
    desk.rest(&[own(SelfTrade::Allow, iceberg(Side::Sell, 1, 7, 3, 100))]);
    let expected = [
        "ACCEPTED 2 5",
        "RESTATED 1 3 SELF_TRADE",
        "RESTATED 1 3 REFRESHED",
        "RESTATED 2 3 SELF_TRADE",
        "RESTATED 1 2 SELF_TRADE",
        "CANCELED 2 2 SELF_TRADE",
    ];
    assert_eq!(desk.send(own(SelfTrade::Decrement, buy(2, 5, 100))), expected);
    assert_eq!((desk.orders()[0].remaining, desk.orders()[0].visible), (2, 1));
}

#[test]
fn what_traded_before_they_met_stays_traded() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 2, 99), own(SelfTrade::Allow, sell(2, 5, 100))]);
    let expected = ["ACCEPTED 3 5", "TRADE 3 2@99 with 1", "CANCELED 3 3 SELF_TRADE"];
    assert_eq!(desk.send(own(SelfTrade::CancelNewest, buy(3, 5, 100))), expected);
}

#[test]
fn the_mode_of_the_resting_order_does_not_count() {
    let mut desk = Desk::open();
    desk.rest(&[own(SelfTrade::CancelBoth, sell(1, 5, 100))]);
    assert_eq!(desk.send(own(SelfTrade::Allow, buy(2, 5, 100))), ["ACCEPTED 2 5", "TRADE 2 5@100 with 1"]);
}

#[test]
fn a_canceled_or_restated_incoming_order_carries_no_level() {
    let mut desk = asks(5);
    let events = desk.events(own(SelfTrade::Decrement, buy(3, 7, 90 + 10)));
    assert_eq!(events[1].level_side, Side::Sell as u8);
    assert_eq!((events[2].order, events[2].level_side), (3, 0));
}

fn fok(mode: SelfTrade, quantity: u64) -> Command {
    Command { time_in_force: TimeInForce::Fok as u8, ..own(mode, buy(8, quantity, 101)) }
}

/// Ahead of the account's order: 4 a level better, an iceberg that shows 2 of 6, and 3; behind it 5 and a level of 7.
fn fok_book() -> Desk {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 4, 99), iceberg(Side::Sell, 2, 6, 2, 100), sell(3, 3, 100)]);
    desk.rest(&[own(SelfTrade::Allow, sell(4, 10, 100)), sell(5, 5, 100), sell(6, 7, 101)]);
    desk
}

#[test]
fn fok_with_cancel_oldest_does_not_count_orders_of_its_account() {
    assert!(fok_book().send(fok(SelfTrade::CancelOldest, 26))[1].contains("NOT_FILLABLE"));
    let mut desk = fok_book();
    let events = desk.send(fok(SelfTrade::CancelOldest, 25));
    assert!(!events.iter().any(|event| event.contains("NOT_FILLABLE")), "{events:?}");
    assert!(desk.core.is_empty());
}

#[test]
fn fok_with_another_mode_counts_what_is_shown_before_the_first_order_of_its_account() {
    for mode in [SelfTrade::CancelNewest, SelfTrade::CancelBoth, SelfTrade::Decrement] {
        assert_eq!(fok_book().send(fok(mode, 10))[1], "CANCELED 8 10 NOT_FILLABLE", "{mode:?}");
        let mut desk = fok_book();
        let events = desk.events(fok(mode, 9));
        let filled: u64 = events.iter().filter(|e| e.trade != 0).map(|e| e.quantity).sum();
        assert_eq!((filled, desk.core.order(8).is_none()), (9, true), "{mode:?}");
    }
}

#[test]
fn fok_with_allow_counts_all() {
    assert!(fok_book().send(fok(SelfTrade::Allow, 36))[1].contains("NOT_FILLABLE"));
    assert!(fok_book().send(fok(SelfTrade::Allow, 35))[1].starts_with("TRADE"));
}
