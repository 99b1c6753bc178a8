//! A desk that sends commands to a core, each with the next sequence.

use cift_book::{Command, CommandKind, Core, InstrumentState, OrderType, Reason, Side, Terms, TimeInForce, MAX_PRICE};

use crate::seen::{Resting, Seen};

/// Terms that allow whatever the core does.
pub const TERMS: Terms = Terms { state: InstrumentState::Open, tick: 1, lot: 1, low: 1, high: MAX_PRICE };

/// A limit order, good till canceled, in instrument 1; account and order id are the same number.
pub fn limit(side: Side, order: u64, quantity: u64, price: i64) -> Command {
    Command {
        kind: CommandKind::New as u8,
        instrument: 1,
        side: side as u8,
        order_type: OrderType::Limit as u8,
        time_in_force: TimeInForce::Gtc as u8,
        account: order,
        order_id: order,
        quantity,
        price,
        ..Command::default()
    }
}

pub fn buy(order: u64, quantity: u64, price: i64) -> Command {
    limit(Side::Buy, order, quantity, price)
}

pub fn sell(order: u64, quantity: u64, price: i64) -> Command {
    limit(Side::Sell, order, quantity, price)
}

pub fn iceberg(side: Side, order: u64, quantity: u64, display: u64, price: i64) -> Command {
    Command { display, ..limit(side, order, quantity, price) }
}

pub fn market(side: Side, order: u64, quantity: u64) -> Command {
    Command {
        order_type: OrderType::Market as u8,
        time_in_force: TimeInForce::Ioc as u8,
        ..limit(side, order, quantity, 0)
    }
}

pub fn stop(side: Side, order: u64, quantity: u64, stop_price: i64) -> Command {
    Command { order_type: OrderType::Stop as u8, stop_price, ..limit(side, order, quantity, 0) }
}

pub fn stop_limit(side: Side, order: u64, quantity: u64, stop_price: i64, price: i64) -> Command {
    Command { order_type: OrderType::StopLimit as u8, stop_price, ..limit(side, order, quantity, price) }
}

#[derive(Default)]
pub struct Desk {
    pub core: Core,
    pub time: u64,
    sequence: u64,
}

impl Desk {
    /// A venue with instrument 1, open, of [`TERMS`].
    pub fn open() -> Self {
        Self::with(TERMS)
    }

    pub fn with(terms: Terms) -> Self {
        let mut desk = Self::default();
        assert_eq!(desk.define(1, terms), ["INSTRUMENT 0 0"]);
        desk
    }

    /// Send a command with the next sequence, at the desk's time unless it has a later one of its own.
    pub fn events(&mut self, command: Command) -> Vec<Seen> {
        self.sequence += 1;
        let timestamp = self.time.max(command.timestamp);
        let command = Command { sequence: self.sequence, timestamp, ..command };
        let mut events = Vec::new();
        self.core.apply(&command.encode(), &mut events).expect("a command with the next sequence");
        Seen::all(&events)
    }

    /// What it did, in words.
    pub fn send(&mut self, command: Command) -> Vec<String> {
        self.events(command).iter().map(Seen::to_string).collect()
    }

    /// Send orders that rest, or wait, without more ado.
    pub fn rest(&mut self, orders: &[Command]) {
        for order in orders {
            let events = self.send(*order);
            assert!(events.len() <= 2 && events[0].starts_with("ACCEPTED"), "{events:?}");
            assert!(self.core.order(order.order_id).is_some());
        }
    }

    /// The reason why a command is rejected, which changes nothing but sequence and time.
    pub fn refused(&mut self, command: Command) -> Reason {
        let body = |core: &Core| core.snapshot()[32..].split_last_chunk::<32>().expect("a hash").0.to_vec();
        let before = body(&self.core);
        let events = self.events(command);
        assert_eq!(events.len(), 1, "{}", events[0]);
        assert_eq!(events[0].kind, cift_book::EventKind::Rejected, "{}", events[0]);
        assert!(body(&self.core) == before, "{} changed the state", events[0]);
        events[0].reason
    }

    pub fn define(&mut self, instrument: u32, terms: Terms) -> Vec<String> {
        let command = Command { kind: CommandKind::Define as u8, instrument, ..Command::default() };
        self.send(command.with_terms(terms))
    }

    pub fn state(&mut self, instrument: u32, state: InstrumentState) -> Vec<String> {
        let kind = CommandKind::SetState as u8;
        self.send(Command { kind, instrument, side: state as u8, ..Command::default() })
    }

    /// CANCEL by the account of the same number.
    pub fn cancel(&mut self, order: u64) -> Vec<String> {
        let kind = CommandKind::Cancel as u8;
        self.send(Command { kind, order_id: order, account: order, ..Command::default() })
    }

    /// REPLACE by the account of the same number, of an order without display and stop price.
    pub fn replace(&mut self, order: u64, quantity: u64, price: i64) -> Vec<String> {
        self.send(Self::replacement(order, quantity, price))
    }

    pub fn replacement(order: u64, quantity: u64, price: i64) -> Command {
        let kind = CommandKind::Replace as u8;
        Command { kind, order_id: order, account: order, quantity, price, ..Command::default() }
    }

    /// Time passes.
    pub fn clock(&mut self, time: u64) -> Vec<String> {
        self.time = time;
        self.send(Command { kind: CommandKind::Clock as u8, ..Command::default() })
    }

    /// Orders of instrument 1, in order of priority.
    pub fn orders(&self) -> Vec<Resting> {
        let mut records = Vec::new();
        self.core.write_orders(self.core.book(1).expect("instrument 1"), &mut records);
        Resting::all(&records)
    }

    /// Their ids, in order of priority.
    pub fn queue(&self) -> Vec<u64> {
        self.orders().iter().map(|order| order.order).collect()
    }
}
