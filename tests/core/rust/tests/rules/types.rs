//! Order types and times in force, post-only, icebergs.

use cift_book::{Command, Flag, InstrumentState, Reason, Side, Terms, TimeInForce};
use core_tests::{buy, iceberg, market, sell, Desk, TERMS};

fn with(tif: TimeInForce, command: Command) -> Command {
    Command { time_in_force: tif as u8, ..command }
}

fn post_only(command: Command) -> Command {
    Command { flags: Flag::PostOnly as u8, ..command }
}

#[test]
fn a_limit_order_trades_at_its_price_or_better_and_the_rest_rests() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 2, 99), sell(2, 2, 100), sell(3, 2, 101)]);
    let expected = ["ACCEPTED 4 9", "TRADE 4 2@99 with 1", "TRADE 4 2@100 with 2", "RESTED 4 5@100"];
    assert_eq!(desk.send(buy(4, 9, 100)), expected);
}

#[test]
fn ioc_cancels_what_does_not_trade_at_once() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 2, 100)]);
    let expected = ["ACCEPTED 2 5", "TRADE 2 2@100 with 1", "CANCELED 2 3 UNFILLED"];
    assert_eq!(desk.send(with(TimeInForce::Ioc, buy(2, 5, 100))), expected);
}

#[test]
fn fok_trades_whole_or_not_at_all() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 2, 100), sell(2, 3, 101)]);
    let fok = |order, quantity| with(TimeInForce::Fok, buy(order, quantity, 101));
    assert_eq!(desk.send(fok(3, 6)), ["ACCEPTED 3 6", "CANCELED 3 6 NOT_FILLABLE"]);
    assert_eq!(desk.send(fok(4, 5)), ["ACCEPTED 4 5", "TRADE 4 2@100 with 1", "TRADE 4 3@101 with 2"]);
}

#[test]
fn fok_counts_hidden_quantity() {
    let mut desk = Desk::open();
    desk.rest(&[iceberg(Side::Sell, 1, 6, 2, 100)]);
    assert_eq!(desk.send(with(TimeInForce::Fok, buy(2, 6, 100))).len(), 6);
    assert!(desk.core.is_empty());
}

#[test]
fn a_market_order_acts_to_the_end_of_the_band_and_never_rests() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 2, 100), sell(2, 2, 105), buy(3, 2, 90), buy(4, 2, 80)]);
    desk.define(1, Terms { low: 85, high: 104, ..TERMS });
    assert_eq!(desk.send(market(Side::Buy, 5, 5)), ["ACCEPTED 5 5", "TRADE 5 2@100 with 1", "CANCELED 5 3 UNFILLED"]);
    assert_eq!(desk.send(market(Side::Sell, 6, 5)), ["ACCEPTED 6 5", "TRADE 6 2@90 with 3", "CANCELED 6 3 UNFILLED"]);
}

#[test]
fn a_market_order_may_be_fill_or_kill() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 2, 100)]);
    let fok = with(TimeInForce::Fok, market(Side::Buy, 2, 3));
    assert_eq!(desk.send(fok), ["ACCEPTED 2 3", "CANCELED 2 3 NOT_FILLABLE"]);
}

#[test]
fn combinations_that_cannot_be_are_refused() {
    let mut desk = Desk::open();
    let stop = core_tests::stop(Side::Buy, 9, 5, 100);
    let stop_limit = core_tests::stop_limit(Side::Buy, 9, 5, 100, 100);
    for command in [
        with(TimeInForce::Gtc, market(Side::Buy, 9, 5)),
        with(TimeInForce::Day, market(Side::Buy, 9, 5)),
        with(TimeInForce::Ioc, stop),
        with(TimeInForce::Fok, stop_limit),
        post_only(stop),
        post_only(stop_limit),
        post_only(market(Side::Buy, 9, 5)),
        post_only(with(TimeInForce::Ioc, buy(9, 5, 100))),
    ] {
        assert_eq!(desk.refused(command), Reason::InvalidCombination, "{command:?}");
    }
}

#[test]
fn day_orders_end_by_order_id_when_their_instrument_closes() {
    let mut desk = Desk::open();
    let day = |command| with(TimeInForce::Day, command);
    desk.rest(&[day(buy(1, 5, 99)), day(sell(2, 5, 101)), day(buy(3, 5, 100)), buy(4, 5, 98)]);
    let expected =
        ["EXPIRED 1 5 SESSION_CLOSED", "EXPIRED 2 5 SESSION_CLOSED", "EXPIRED 3 5 SESSION_CLOSED", "INSTRUMENT 0 0"];
    assert_eq!(desk.state(1, InstrumentState::Closed), expected);
    assert_eq!(desk.queue(), [4]);
}

#[test]
fn post_only_is_rejected_and_not_moved_if_it_would_trade() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100)]);
    for price in [100, 101] {
        assert_eq!(desk.refused(post_only(buy(2, 5, price))), Reason::WouldCross);
    }
    assert_eq!(desk.send(post_only(buy(2, 5, 99))), ["ACCEPTED 2 5", "RESTED 2 5@99"]);
    assert_eq!(desk.refused(post_only(sell(3, 5, 99))), Reason::WouldCross);
}

#[test]
fn post_only_counts_orders_of_the_same_account_too() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100)]);
    assert_eq!(desk.refused(Command { account: 1, ..post_only(buy(2, 5, 100)) }), Reason::WouldCross);
}

#[test]
fn post_only_stays_with_the_order_through_a_replace() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100), post_only(buy(2, 5, 99))]);
    assert_eq!(desk.refused(Desk::replacement(2, 5, 100)), Reason::WouldCross);
    assert_eq!(desk.replace(2, 6, 99), ["REPLACED 2 6", "RESTED 2 6@99"]);
}

#[test]
fn an_iceberg_acts_with_its_whole_quantity_when_it_comes_in() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100)]);
    let expected = ["ACCEPTED 2 9", "TRADE 2 5@100 with 1", "RESTED 2 4@100"];
    assert_eq!(desk.send(iceberg(Side::Buy, 2, 9, 3, 100)), expected);
    assert_eq!(desk.orders()[0].visible, 3);
}

#[test]
fn a_display_of_the_quantity_or_more_shows_all() {
    let mut desk = Desk::open();
    desk.rest(&[iceberg(Side::Buy, 1, 5, 5, 100), iceberg(Side::Buy, 2, 5, 9, 100)]);
    assert!(desk.orders().iter().all(|order| order.visible == 5));
}
