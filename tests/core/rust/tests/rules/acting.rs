//! An order that acts, step by step: what its events tell.

use cift_book::{EventKind, Side};
use core_tests::{buy, sell, Desk};

#[test]
fn a_trade_tells_both_sides_and_the_level_that_it_changed() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100), sell(2, 4, 100)]);
    let trade = desk.events(buy(7, 3, 101))[1];
    assert_eq!((trade.kind, trade.index, trade.side), (EventKind::Trade, 1, Side::Buy as u8));
    assert_eq!((trade.order, trade.account, trade.remaining), (7, 7, 0));
    assert_eq!((trade.maker, trade.maker_account, trade.maker_remaining), (1, 1, 2));
    assert_eq!((trade.price, trade.quantity, trade.trade, trade.visible), (100, 3, 1, 2));
    assert_eq!((trade.level_side, trade.level_price), (Side::Sell as u8, 100));
    assert_eq!((trade.level_quantity, trade.level_orders), (6, 2));
}

#[test]
fn a_level_that_is_gone_is_told_as_empty() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100)]);
    let trade = desk.events(buy(2, 5, 100))[1];
    assert_eq!((trade.level_price, trade.level_quantity, trade.level_orders), (100, 0, 0));
    assert_eq!((trade.maker_remaining, trade.visible), (0, 0));
}

#[test]
fn trade_ids_count_over_all_instruments() {
    let mut desk = Desk::open();
    desk.define(2, core_tests::TERMS);
    let in_two = |command| cift_book::Command { instrument: 2, ..command };
    desk.rest(&[sell(1, 5, 100), in_two(sell(2, 5, 100))]);
    assert_eq!(desk.events(buy(3, 1, 100))[1].trade, 1);
    assert_eq!(desk.events(in_two(buy(4, 1, 100)))[1].trade, 2);
    assert_eq!(desk.events(buy(5, 1, 100))[1].trade, 3);
    assert_eq!(desk.core.last_trade(), 3);
}

#[test]
fn instruments_do_not_meet() {
    let mut desk = Desk::open();
    desk.define(2, core_tests::TERMS);
    desk.rest(&[sell(1, 5, 100), cift_book::Command { instrument: 2, ..buy(2, 5, 100) }]);
    assert_eq!(desk.core.len(), 2);
}
