//! Checks, in order: a command with every fault is refused for the first of them, mended, refused for the next, and so on.

use cift_book::{Command, Flag, InstrumentState, Reason, Side, Terms, TimeInForce, MAX_OPEN, MAX_PRICE, MAX_QUANTITY};
use core_tests::{buy, limit, sell, stop, stop_limit, Desk, TERMS};

const GTD: u8 = TimeInForce::Gtd as u8;
const GTC: u8 = TimeInForce::Gtc as u8;
const IOC: u8 = TimeInForce::Ioc as u8;

type Mend = fn(&mut Command);

/// Refused for each reason in turn, each fault mended after it; what is left is taken.
fn refused_in_turn(desk: &mut Desk, mut command: Command, faults: &[(Reason, Mend)]) {
    for (reason, mend) in faults {
        assert_eq!(desk.refused(command), *reason, "{command:?}");
        mend(&mut command);
    }
    let events = desk.send(command);
    assert!(events[0].starts_with("ACCEPTED") || events[0].starts_with("REPLACED"), "{events:?}");
}

/// Instrument 1 with tick 5, lot 10 and a band, so full that 2,000 lots more do not fit; 2 is halted.
fn full() -> Desk {
    let mut desk = Desk::with(Terms { tick: 5, lot: 10, low: 50, high: 500, ..TERMS });
    desk.define(2, Terms { state: InstrumentState::Halted, ..TERMS });
    desk.time = 1000;
    let most = MAX_QUANTITY / 10 * 10;
    let count = MAX_OPEN / most;
    for order in 1..=count {
        desk.rest(&[sell(order, most, 400)]);
    }
    assert!(MAX_OPEN - count * most < 3000);
    desk
}

#[test]
fn a_new_order_is_refused_for_the_first_check_that_fails() {
    let faulty = Command {
        instrument: 9,
        side: 0,
        time_in_force: IOC,
        flags: Flag::PostOnly as u8,
        account: 0,
        order_id: 1024,
        quantity: 0,
        display: 5,
        price: 0,
        stop_price: 7,
        expiry: 1000,
        ..limit(Side::Buy, 1, 1, 1)
    };
    refused_in_turn(
        &mut full(),
        faulty,
        &[
            (Reason::InvalidCode, |c| c.side = 1),
            (Reason::InvalidCombination, |c| c.time_in_force = GTC),
            (Reason::UnknownInstrument, |c| c.instrument = 2),
            (Reason::NotOpen, |c| c.instrument = 1),
            (Reason::InvalidAccount, |c| c.account = 1),
            (Reason::InvalidPrice, |c| c.price = 903),
            (Reason::OffTick, |c| c.price = 900),
            (Reason::OutsideBand, |c| c.price = 450),
            (Reason::InvalidStopPrice, |c| c.stop_price = 0),
            (Reason::InvalidQuantity, |c| c.quantity = 3001),
            (Reason::OffLot, |c| c.quantity = 3000),
            (Reason::InvalidDisplay, |c| c.display = 10),
            (Reason::InvalidExpiry, |c| c.time_in_force = GTD),
            (Reason::InvalidOrderId, |c| c.order_id = 1025),
            (Reason::InvalidExpiry, |c| c.expiry = 9999),
            (Reason::BookFull, |c| c.quantity = 20),
            (Reason::WouldCross, |c| c.price = 395),
        ],
    );
}

#[test]
fn a_replace_is_refused_for_the_first_check_that_fails() {
    let mut desk = full();
    let own = Command { flags: Flag::PostOnly as u8, ..buy(2000, 30, 395) };
    desk.rest(&[own]);
    desk.send(Command { time_in_force: IOC, ..sell(2001, 10, 395) });
    desk.state(1, InstrumentState::Halted);
    let faulty = Command { account: 1, display: 5, ..Desk::replacement(2000, 0, 0) };
    for (reason, mend) in [(Reason::UnknownOrder, true), (Reason::NotOpen, false)] {
        assert_eq!(desk.refused(Command { account: if mend { 1 } else { 2000 }, ..faulty }), reason);
    }
    desk.state(1, InstrumentState::Open);
    refused_in_turn(
        &mut desk,
        Command { account: 2000, ..faulty },
        &[
            (Reason::InvalidPrice, |c| c.price = 903),
            (Reason::OffTick, |c| c.price = 900),
            (Reason::OutsideBand, |c| c.price = 450),
            (Reason::InvalidQuantity, |c| c.quantity = 1),
            (Reason::OffLot, |c| c.quantity = 10),
            (Reason::InvalidDisplay, |c| c.display = 10),
            (Reason::QuantityTooLow, |c| c.quantity = 3000),
            (Reason::BookFull, |c| c.quantity = 40),
            (Reason::WouldCross, |c| c.price = 395),
        ],
    );
}

#[test]
fn a_waiting_stop_is_replaced_under_its_own_checks() {
    let mut desk = Desk::with(Terms { tick: 5, ..TERMS });
    desk.rest(&[stop(Side::Buy, 1, 5, 100), stop_limit(Side::Buy, 2, 5, 100, 100)]);
    let with = |order, price, stop_price| Command { stop_price, ..Desk::replacement(order, 5, price) };
    assert_eq!(desk.refused(with(1, 100, 7)), Reason::InvalidPrice);
    for stop_price in [0, 7, -5, MAX_PRICE + 1] {
        assert_eq!(desk.refused(with(1, 0, stop_price)), Reason::InvalidStopPrice);
        assert_eq!(desk.refused(with(2, 100, stop_price)), Reason::InvalidStopPrice);
    }
    assert_eq!(desk.refused(with(2, 0, 100)), Reason::InvalidPrice);
}

#[test]
fn every_code_must_be_known() {
    let mut desk = Desk::open();
    let good = buy(1, 5, 100);
    for bad in [
        Command { side: 3, ..good },
        Command { order_type: 0, ..good },
        Command { order_type: 5, ..good },
        Command { time_in_force: 0, ..good },
        Command { time_in_force: 6, ..good },
        Command { self_trade: 5, ..good },
        Command { flags: 2, ..good },
    ] {
        assert_eq!(desk.refused(bad), Reason::InvalidCode, "{bad:?}");
    }
    for kind in [0, 8, 255] {
        assert_eq!(desk.refused(Command { kind, ..good }), Reason::UnknownKind);
    }
}

#[test]
fn a_market_order_has_neither_price_nor_stop_price_and_a_stop_no_price() {
    let mut desk = Desk::open();
    let market = core_tests::market(Side::Buy, 1, 5);
    assert_eq!(desk.refused(Command { price: 1, ..market }), Reason::InvalidPrice);
    assert_eq!(desk.refused(Command { stop_price: 1, ..market }), Reason::InvalidStopPrice);
    assert_eq!(desk.refused(Command { price: 1, ..stop(Side::Buy, 1, 5, 100) }), Reason::InvalidPrice);
    assert_eq!(desk.refused(Command { display: 1, ..market }), Reason::InvalidDisplay);
    assert_eq!(desk.refused(Command { display: 1, ..stop(Side::Buy, 1, 5, 100) }), Reason::InvalidDisplay);
}

#[test]
fn an_order_id_is_used_once_even_after_the_order_ended() {
    let mut desk = Desk::open();
    desk.rest(&[buy(5, 5, 100)]);
    desk.cancel(5);
    for order in [0, 4, 5] {
        assert_eq!(desk.refused(Command { order_id: order, ..buy(9, 5, 100) }), Reason::InvalidOrderId);
    }
}

#[test]
fn a_rejection_tells_what_was_sent() {
    let event = Desk::open().events(Command { quantity: 0, ..sell(7, 1, -3) })[0];
    assert_eq!((event.order, event.account, event.side, event.price, event.quantity), (7, 7, 2, -3, 0));
}
