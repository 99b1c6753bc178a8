//! Instruments and their states.

use cift_book::{Command, CommandKind, InstrumentState, Reason, Terms, MAX_INSTRUMENT, MAX_PRICE, MAX_QUANTITY};
use core_tests::{buy, sell, Desk, TERMS};

fn define(instrument: u32, terms: Terms) -> Command {
    Command { kind: CommandKind::Define as u8, instrument, ..Command::default() }.with_terms(terms)
}

#[test]
fn tick_and_lot_change_only_while_no_order_lives() {
    let mut desk = Desk::open();
    desk.rest(&[buy(1, 5, 100)]);
    assert_eq!(desk.refused(define(1, Terms { tick: 5, ..TERMS })), Reason::NotEmpty);
    assert_eq!(desk.refused(define(1, Terms { lot: 5, ..TERMS })), Reason::NotEmpty);
    desk.cancel(1);
    assert_eq!(desk.define(1, Terms { tick: 5, lot: 5, ..TERMS }), ["INSTRUMENT 0 0"]);
}

#[test]
fn orders_that_rest_stay_and_trade_when_the_band_moves() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100)]);
    desk.define(1, Terms { low: 150, high: 200, ..TERMS });
    assert_eq!(desk.refused(buy(2, 5, 100)), Reason::OutsideBand);
    assert_eq!(desk.send(buy(2, 5, 150)), ["ACCEPTED 2 5", "TRADE 2 5@100 with 1"]);
}

#[test]
fn a_replace_checks_the_band_only_if_the_price_moves() {
    let mut desk = Desk::open();
    desk.rest(&[sell(1, 5, 100)]);
    desk.define(1, Terms { low: 150, high: 200, ..TERMS });
    assert_eq!(desk.refused(Desk::replacement(1, 5, 101)), Reason::OutsideBand);
    assert_eq!(desk.replace(1, 6, 100), ["REPLACED 1 6", "RESTED 1 6@100"]);
}

#[test]
fn both_ends_of_the_band_are_allowed() {
    let mut desk = Desk::with(Terms { low: 90, high: 110, ..TERMS });
    assert_eq!(desk.refused(buy(1, 5, 89)), Reason::OutsideBand);
    assert_eq!(desk.refused(sell(1, 5, 111)), Reason::OutsideBand);
    desk.rest(&[buy(1, 5, 90), sell(2, 5, 110)]);
}

#[test]
fn an_instrument_that_is_not_open_takes_neither_new_nor_replace() {
    for state in [InstrumentState::Halted, InstrumentState::Closed] {
        let mut desk = Desk::open();
        desk.rest(&[buy(1, 5, 100)]);
        desk.state(1, state);
        assert_eq!(desk.refused(buy(2, 5, 100)), Reason::NotOpen);
        assert_eq!(desk.refused(Desk::replacement(1, 4, 100)), Reason::NotOpen);
        assert_eq!(desk.queue(), [1], "good till canceled");
        desk.state(1, InstrumentState::Open);
        assert_eq!(desk.replace(1, 4, 100), ["REPLACED 1 4"]);
    }
}

#[test]
fn terms_that_cannot_be_are_refused() {
    let mut desk = Desk::open();
    for terms in [
        Terms { tick: 0, ..TERMS },
        Terms { tick: MAX_PRICE + 1, ..TERMS },
        Terms { lot: 0, ..TERMS },
        Terms { lot: MAX_QUANTITY + 1, ..TERMS },
        Terms { low: 0, ..TERMS },
        Terms { low: 2, high: 1, ..TERMS },
        Terms { high: MAX_PRICE + 1, ..TERMS },
        Terms { tick: -1, ..TERMS },
    ] {
        assert_eq!(desk.refused(define(2, terms)), Reason::InvalidInstrument, "{terms:?}");
    }
    for number in [0, MAX_INSTRUMENT + 1, u32::MAX] {
        assert_eq!(desk.refused(define(number, TERMS)), Reason::InvalidInstrument);
    }
    assert_eq!(desk.define(MAX_INSTRUMENT, TERMS), ["INSTRUMENT 0 0"]);
}

#[test]
fn states_that_are_unknown_and_instruments_that_are_not_there_are_refused() {
    let mut desk = Desk::open();
    let state =
        |instrument, side| Command { kind: CommandKind::SetState as u8, instrument, side, ..Command::default() };
    assert_eq!(desk.refused(state(9, 4)), Reason::InvalidCode);
    assert_eq!(desk.refused(state(9, 1)), Reason::UnknownInstrument);
    assert_eq!(desk.refused(Command { side: 0, ..define(0, TERMS) }), Reason::InvalidCode);
    let events = desk.events(Command { side: 0, ..define(0, TERMS) });
    let told = (events[0].order, events[0].account, events[0].side, events[0].price, events[0].quantity);
    assert_eq!(told, (0, 0, 0, 0, 0), "the fields of a definition are none of an order's");
}

#[test]
fn a_definition_that_closes_ends_day_orders() {
    let mut desk = Desk::open();
    desk.rest(&[Command { time_in_force: cift_book::TimeInForce::Day as u8, ..buy(1, 5, 100) }]);
    let closed = Terms { state: InstrumentState::Closed, ..TERMS };
    assert_eq!(desk.define(1, closed), ["EXPIRED 1 5 SESSION_CLOSED", "INSTRUMENT 0 0"]);
}
