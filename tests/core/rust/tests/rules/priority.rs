//! Priority: price, time, display; and what a replace does to it.

use cift_book::{Command, Side};
use core_tests::{buy, iceberg, sell, Desk};

#[test]
fn the_highest_bid_and_the_lowest_ask_come_first() {
    let mut desk = Desk::open();
    desk.rest(&[buy(1, 5, 99), buy(2, 5, 101), buy(3, 5, 100), sell(4, 5, 106), sell(5, 5, 104), sell(6, 5, 105)]);
    assert_eq!(desk.queue(), [2, 3, 1, 5, 6, 4]);
}

#[test]
fn a_trade_is_at_the_price_of_the_resting_order() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100)]);
    assert_eq!(desk.send(buy(2, 5, 120)), ["ACCEPTED 2 5", "TRADE 2 5@100 with 1"]);
}

#[test]
fn at_one_price_the_order_that_came_first_trades_first() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100), sell(2, 5, 100), sell(3, 5, 99)]);
    let expected = ["ACCEPTED 4 12", "TRADE 4 5@99 with 3", "TRADE 4 5@100 with 1", "TRADE 4 2@100 with 2"];
    assert_eq!(desk.send(buy(4, 12, 100)), expected);
    assert_eq!(desk.queue(), [2]);
}

#[test]
fn an_iceberg_shows_its_next_slice_at_the_end_of_the_queue() {
    let mut desk = Desk::open();
    desk.rest(&[iceberg(Side::Sell, 1, 7, 3, 100), sell(2, 4, 100)]);
    assert_eq!(desk.orders()[0].visible, 3);
    let expected = ["ACCEPTED 3 4", "TRADE 3 3@100 with 1", "RESTATED 1 3 REFRESHED", "TRADE 3 1@100 with 2"];
    assert_eq!(desk.send(buy(3, 4, 100)), expected);
    assert_eq!(desk.queue(), [2, 1]);
    let expected = [
        "ACCEPTED 4 7",
        "TRADE 4 3@100 with 2",
        "TRADE 4 3@100 with 1",
        "RESTATED 1 1 REFRESHED",
        "TRADE 4 1@100 with 1",
    ];
    assert_eq!(desk.send(buy(4, 7, 100)), expected);
    assert!(desk.core.is_empty());
}

#[test]
fn a_slice_that_is_used_in_part_keeps_its_place() {
    let mut desk = Desk::open();
    desk.rest(&[iceberg(Side::Sell, 1, 7, 3, 100), sell(2, 4, 100)]);
    assert_eq!(desk.send(buy(3, 2, 100)), ["ACCEPTED 3 2", "TRADE 3 2@100 with 1"]);
    assert_eq!((desk.queue(), desk.orders()[0].visible), (vec![1, 2], 1));
}

#[test]
fn the_level_in_an_event_tells_what_is_displayed() {
    let mut desk = Desk::open();
    let rested = desk.events(iceberg(Side::Sell, 1, 7, 3, 100))[1];
    assert_eq!((rested.level_side, rested.level_price), (Side::Sell as u8, 100));
    assert_eq!((rested.level_quantity, rested.level_orders), (3, 1));
}

#[test]
fn an_order_keeps_its_place_if_only_its_total_falls() {
    let mut desk = Desk::open();
    desk.rest(&[buy(1, 5, 100), buy(2, 5, 100)]);
    assert_eq!(desk.replace(1, 3, 100), ["REPLACED 1 3"]);
    assert_eq!((desk.queue(), desk.orders()[0].remaining), (vec![1, 2], 3));
    assert_eq!(desk.replace(1, 3, 100), ["REPLACED 1 3"], "the same terms keep it too");
    assert_eq!(desk.queue(), [1, 2]);
}

#[test]
fn an_order_loses_its_place_if_its_total_grows_or_its_price_or_display_changes() {
    let mut desk = Desk::open();
    desk.rest(&[buy(1, 5, 100), buy(2, 5, 100)]);
    assert_eq!(desk.replace(1, 6, 100), ["REPLACED 1 6", "RESTED 1 6@100"]);
    assert_eq!(desk.queue(), [2, 1]);
    assert_eq!(desk.replace(2, 5, 99), ["REPLACED 2 5", "RESTED 2 5@99"]);
    assert_eq!(desk.queue(), [1, 2]);
    desk.rest(&[buy(3, 5, 100)]);
    let shown = Command { display: 2, ..Desk::replacement(1, 6, 100) };
    assert_eq!(desk.send(shown), ["REPLACED 1 6", "RESTED 1 6@100"]);
    assert_eq!(desk.queue(), [3, 1, 2]);
}

#[test]
fn what_is_hidden_is_taken_away_first() {
    let mut desk = Desk::open();
    desk.rest(&[iceberg(Side::Sell, 1, 10, 3, 100)]);
    for (total, visible) in [(4, 3), (2, 2)] {
        let less = Command { display: 3, ..Desk::replacement(1, total, 100) };
        assert_eq!(desk.send(less), [format!("REPLACED 1 {total}")]);
        assert_eq!((desk.orders()[0].remaining, desk.orders()[0].visible), (total, visible));
    }
}
