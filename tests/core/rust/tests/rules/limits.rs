//! Limits.

use cift_book::{Reason, Side, MAX_PRICE, MAX_QUANTITY, MAX_SLICES};
use core_tests::{buy, iceberg, sell, Desk};

#[test]
fn the_highest_price_and_quantity_trade_and_one_more_is_refused() {
    let mut desk = Desk::open();
    assert_eq!(desk.refused(sell(1, 1, MAX_PRICE + 1)), Reason::InvalidPrice);
    assert_eq!(desk.refused(sell(1, MAX_QUANTITY + 1, 1)), Reason::InvalidQuantity);
    assert_eq!(desk.refused(sell(1, 1, i64::MIN)), Reason::InvalidPrice);
    assert_eq!(desk.refused(sell(1, u64::MAX, 1)), Reason::InvalidQuantity);
    desk.rest(&[sell(1, MAX_QUANTITY, MAX_PRICE)]);
    let expected = format!("TRADE 2 {MAX_QUANTITY}@{MAX_PRICE} with 1");
    assert_eq!(desk.send(buy(2, MAX_QUANTITY, MAX_PRICE))[1], expected);
}

#[test]
fn the_highest_ids_and_accounts_are_like_any() {
    let mut desk = Desk::open();
    desk.rest(&[sell(u64::MAX, 5, 100)]);
    assert_eq!(desk.refused(buy(u64::MAX, 5, 100)), Reason::InvalidOrderId);
    assert_eq!(desk.cancel(u64::MAX), [format!("CANCELED {} 5 REQUESTED", u64::MAX)]);
}

#[test]
fn an_iceberg_has_at_most_max_slices() {
    let mut desk = Desk::open();
    assert_eq!(desk.refused(iceberg(Side::Buy, 1, MAX_SLICES + 1, 1, 100)), Reason::InvalidDisplay);
    assert_eq!(desk.refused(iceberg(Side::Buy, 1, 2 * MAX_SLICES + 1, 2, 100)), Reason::InvalidDisplay);
    desk.rest(&[iceberg(Side::Buy, 1, MAX_SLICES, 1, 100), iceberg(Side::Buy, 2, 2 * MAX_SLICES, 2, 100)]);
    let events = desk.events(sell(3, 3 * MAX_SLICES, 100));
    assert_eq!(events.iter().filter(|event| event.trade != 0).count() as u64, 2 * MAX_SLICES);
    assert!(desk.core.is_empty());
}
