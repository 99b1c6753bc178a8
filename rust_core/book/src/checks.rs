//! What a command and an order must be before they change anything.

use crate::book::Book;
use crate::codes::{Flag, InstrumentState, OrderType, Reason, SelfTrade, Side, TimeInForce};
use crate::limits::{MAX_PRICE, MAX_QUANTITY, MAX_SLICES};
use crate::order::{Order, NIL};
use crate::record::{Command, Terms};

/// Whether an instrument can be traded by these terms.
pub fn valid(terms: &Terms) -> bool {
    (1..=MAX_PRICE).contains(&terms.tick)
        && (1..=MAX_QUANTITY).contains(&terms.lot)
        && 1 <= terms.low
        && terms.low <= terms.high
        && terms.high <= MAX_PRICE
}

pub fn post_only(order: &Order) -> bool {
    order.flags & Flag::PostOnly as u8 != 0
}

/// A command as an order, each code known and each combination one that can be.
pub fn parsed(command: &Command) -> Result<Order, Reason> {
    let side = Side::of(command.side).ok_or(Reason::InvalidCode)?;
    let order_type = OrderType::of(command.order_type).ok_or(Reason::InvalidCode)?;
    let time_in_force = TimeInForce::of(command.time_in_force).ok_or(Reason::InvalidCode)?;
    let self_trade = SelfTrade::of(command.self_trade).ok_or(Reason::InvalidCode)?;
    if command.flags & !(Flag::PostOnly as u8) != 0 {
        return Err(Reason::InvalidCode);
    }
    let order = Order {
        id: command.order_id,
        account: command.account,
        quantity: command.quantity,
        remaining: command.quantity,
        visible: 0,
        display: command.display,
        price: command.price,
        stop_price: command.stop_price,
        expiry: command.expiry,
        instrument: command.instrument,
        side,
        order_type,
        time_in_force,
        self_trade,
        flags: command.flags,
        waiting: matches!(order_type, OrderType::Stop | OrderType::StopLimit),
        level: NIL,
        previous: NIL,
        next: NIL,
    };
    if !combines(&order) {
        return Err(Reason::InvalidCombination);
    }
    Ok(order)
}

fn combines(order: &Order) -> bool {
    let rests = order.time_in_force.rests();
    match order.order_type {
        OrderType::Limit => rests || !post_only(order),
        OrderType::Market => !rests && !post_only(order),
        OrderType::Stop | OrderType::StopLimit => rests && !post_only(order),
    }
}

/// Whether an instrument takes an order, as far as the order alone tells.
pub fn check(book: &Book, order: &Order) -> Result<(), Reason> {
    if book.terms.state != InstrumentState::Open {
        return Err(Reason::NotOpen);
    }
    if order.account == 0 {
        return Err(Reason::InvalidAccount);
    }
    if matches!(order.order_type, OrderType::Limit | OrderType::StopLimit) {
        book.check_price(order.price, true)?;
    } else if order.price != 0 {
        return Err(Reason::InvalidPrice);
    }
    if order.waiting {
        book.check_stop_price(order.stop_price)?;
    } else if order.stop_price != 0 {
        return Err(Reason::InvalidStopPrice);
    }
    book.check_quantity(order.quantity)?;
    check_display(book, order)?;
    if order.time_in_force != TimeInForce::Gtd && order.expiry != 0 {
        return Err(Reason::InvalidExpiry);
    }
    Ok(())
}

pub fn check_display(book: &Book, order: &Order) -> Result<(), Reason> {
    let may = matches!(order.order_type, OrderType::Limit | OrderType::StopLimit) && order.time_in_force.rests();
    let valid = order.display == 0
        || may && order.display % book.terms.lot == 0 && order.quantity.div_ceil(order.display) <= MAX_SLICES;
    if valid {
        Ok(())
    } else {
        Err(Reason::InvalidDisplay)
    }
}

/// Whether an order can live in a book as it stands, at this time.
pub fn may_live(book: &Book, order: &Order, time: u64) -> bool {
    let price = match order.order_type {
        OrderType::Limit | OrderType::StopLimit => book.check_price(order.price, false).is_ok(),
        OrderType::Market | OrderType::Stop => order.price == 0 && order.waiting,
    };
    let stop_price = match order.order_type {
        OrderType::Limit | OrderType::Market => order.stop_price == 0 && !order.waiting,
        OrderType::Stop | OrderType::StopLimit => book.check_stop_price(order.stop_price).is_ok(),
    };
    let quantities = book.check_quantity(order.quantity).is_ok()
        && book.check_quantity(order.remaining).is_ok()
        && order.remaining <= order.quantity
        && check_display(book, order).is_ok();
    let visible = match (order.waiting, order.display) {
        (true, _) => {
            order.visible == 0 && !book.elects(order.side, order.stop_price) && order.remaining == order.quantity
        }
        (false, 0) => order.visible == order.remaining,
        (false, _) => (1..=order.slice()).contains(&order.visible) && order.visible % book.terms.lot == 0,
    };
    let time = match order.time_in_force {
        TimeInForce::Day => order.expiry == 0 && book.terms.state != InstrumentState::Closed,
        TimeInForce::Gtc => order.expiry == 0,
        TimeInForce::Gtd => order.expiry > time,
        TimeInForce::Ioc | TimeInForce::Fok => false,
    };
    let flags = order.flags & !(Flag::PostOnly as u8) == 0 && combines(order) && order.account != 0;
    price && stop_price && quantities && visible && time && flags
}
