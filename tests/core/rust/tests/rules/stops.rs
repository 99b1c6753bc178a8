//! Stops: what elects them, when and in which order they act.

use cift_book::{Command, Side};
use core_tests::{buy, market, sell, stop, stop_limit, Desk};

/// A desk on which the last trade was at this price, and nothing is left of it.
fn traded_at(price: i64) -> Desk {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 1, price)]);
    desk.send(buy(2, 1, price));
    assert!(desk.core.is_empty());
    desk
}

#[test]
fn a_stop_that_waits_is_no_part_of_the_book() {
    let mut desk = traded_at(100);
    desk.rest(&[stop(Side::Buy, 3, 5, 101), stop_limit(Side::Sell, 4, 5, 99, 98)]);
    let book = desk.core.book(1).unwrap();
    assert_eq!((book.bids.iter().count(), book.asks.iter().count(), desk.core.len()), (0, 0, 2));
    assert!(desk.orders().iter().all(|order| order.waiting && order.visible == 0));
}

#[test]
fn a_buy_stop_is_elected_at_or_above_its_price_and_a_sell_stop_at_or_below() {
    for (side, stop_price, elected) in
        [(Side::Buy, 100, true), (Side::Buy, 99, true), (Side::Buy, 101, false), (Side::Sell, 100, true)]
            .into_iter()
            .chain([(Side::Sell, 101, true), (Side::Sell, 99, false)])
    {
        let mut desk = traded_at(100);
        let mut expected = vec!["ACCEPTED 3 5"];
        if elected {
            expected.extend(["TRIGGERED 3 5", "CANCELED 3 5 UNFILLED"]);
        }
        assert_eq!(desk.send(stop(side, 3, 5, stop_price)), expected, "{side:?} {stop_price}");
    }
}

#[test]
fn before_the_first_trade_no_stop_is_elected() {
    let mut desk = Desk::open();
    assert_eq!(desk.send(stop(Side::Buy, 1, 5, 1)), ["ACCEPTED 1 5"]);
    assert_eq!(desk.send(stop(Side::Sell, 2, 5, 1_000_000)), ["ACCEPTED 2 5"]);
}

#[test]
fn an_elected_stop_limit_acts_with_its_own_price_and_rests() {
    let mut desk = traded_at(100);
    desk.rest(&[stop_limit(Side::Buy, 3, 5, 101, 103), sell(4, 1, 101), sell(5, 2, 103), sell(6, 2, 104)]);
    let expected = ["ACCEPTED 7 1", "TRADE 7 1@101 with 4", "TRIGGERED 3 5", "TRADE 3 2@103 with 5", "RESTED 3 3@103"];
    assert_eq!(desk.send(market(Side::Buy, 7, 1)), expected);
}

#[test]
fn stops_act_after_the_order_that_elected_them_is_done() {
    let mut desk = traded_at(100);
    desk.rest(&[stop(Side::Buy, 3, 1, 101), sell(4, 1, 101), sell(5, 1, 102), sell(6, 1, 103)]);
    let expected =
        ["ACCEPTED 7 2", "TRADE 7 1@101 with 4", "TRADE 7 1@102 with 5", "TRIGGERED 3 1", "TRADE 3 1@103 with 6"];
    assert_eq!(desk.send(buy(7, 2, 102)), expected);
}

#[test]
fn the_highest_and_lowest_trade_of_a_pass_count_and_not_only_its_last() {
    let mut desk = traded_at(100);
    desk.rest(&[stop(Side::Sell, 3, 1, 99), buy(4, 1, 99), sell(5, 1, 101), stop(Side::Buy, 6, 1, 101)]);
    desk.rest(&[buy(7, 1, 98)]);
    let expected =
        ["ACCEPTED 8 2", "TRADE 8 1@99 with 4", "TRADE 8 1@98 with 7", "TRIGGERED 3 1", "CANCELED 3 1 UNFILLED"];
    assert_eq!(desk.send(market(Side::Sell, 8, 2)), expected);
}

#[test]
fn buys_act_from_the_lowest_stop_price_up_and_in_turn_at_one_price() {
    let mut desk = traded_at(100);
    let stops = [(3, 103), (4, 102), (5, 103), (6, 101)].map(|(order, price)| stop(Side::Buy, order, 1, price));
    desk.rest(&stops);
    desk.rest(&[sell(7, 1, 103)]);
    let triggered: Vec<u64> = desk
        .events(buy(8, 1, 103))
        .iter()
        .filter(|event| event.kind == cift_book::EventKind::Triggered)
        .map(|event| event.order)
        .collect();
    assert_eq!(triggered, [6, 4, 3, 5]);
}

#[test]
fn buys_come_before_sells_and_sells_from_the_highest_down() {
    let mut desk = Desk::open();
    desk.rest(&[stop(Side::Sell, 1, 1, 100), stop(Side::Sell, 2, 1, 101), stop(Side::Buy, 3, 1, 100), sell(4, 1, 100)]);
    let triggered: Vec<String> = desk.send(buy(5, 1, 100)).into_iter().filter(|e| e.starts_with("TRIGGERED")).collect();
    assert_eq!(triggered, ["TRIGGERED 3 1", "TRIGGERED 2 1", "TRIGGERED 1 1"]);
}

#[test]
fn a_cascade_acts_in_turn_and_ends_within_the_command() {
    let mut desk = traded_at(100);
    desk.rest(&[sell(3, 1, 101), sell(4, 1, 102), sell(5, 1, 103), sell(6, 1, 104)]);
    desk.rest(&[stop(Side::Buy, 7, 1, 101), stop(Side::Buy, 8, 1, 102), stop(Side::Buy, 9, 1, 103)]);
    let expected = [
        "ACCEPTED 10 1",
        "TRADE 10 1@101 with 3",
        "TRIGGERED 7 1",
        "TRADE 7 1@102 with 4",
        "TRIGGERED 8 1",
        "TRADE 8 1@103 with 5",
        "TRIGGERED 9 1",
        "TRADE 9 1@104 with 6",
    ];
    assert_eq!(desk.send(buy(10, 1, 101)), expected);
    assert!(desk.core.is_empty());
}

#[test]
fn a_stop_that_is_replaced_keeps_its_turn_or_is_elected_by_its_new_price() {
    let mut desk = traded_at(100);
    desk.rest(&[stop(Side::Buy, 3, 5, 105), stop(Side::Buy, 4, 5, 105)]);
    let with = |order, quantity, stop_price| Command { stop_price, ..Desk::replacement(order, quantity, 0) };
    assert_eq!(desk.send(with(3, 4, 105)), ["REPLACED 3 4"]);
    assert_eq!(desk.queue(), [3, 4]);
    assert_eq!(desk.send(with(3, 6, 105)), ["REPLACED 3 6"]);
    assert_eq!(desk.queue(), [4, 3]);
    let expected = ["REPLACED 3 6", "TRIGGERED 3 6", "CANCELED 3 6 UNFILLED"];
    assert_eq!(desk.send(with(3, 6, 100)), expected);
}
