//! The core: commands in, events out.

use std::fmt;

use crate::book::Book;
use crate::checks::{check, check_display, parsed, post_only, valid};
use crate::codes::{CommandKind, EventKind, InstrumentState, OrderType, Reason, Side, TimeInForce};
use crate::limits::{MAX_INSTRUMENT, MAX_ORDERS};
use crate::live::Live;
use crate::matching::{act, event};
use crate::order::Order;
use crate::record::{Command, Event, COMMAND_SIZE};
use crate::tape::Tape;

/// Why a buffer of commands was refused whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Length(usize),
    /// The command at this index has a sequence that is not higher than the one before it.
    Sequence {
        index: usize,
        sequence: u64,
        last: u64,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "{length} bytes of commands: not a multiple of {COMMAND_SIZE}"),
            Self::Sequence { index, sequence, last } => {
                write!(f, "command {index} has sequence {sequence}, which is not higher than {last} before it")
            }
        }
    }
}

impl std::error::Error for Malformed {}

/// All books of a venue: a deterministic function of the commands that it was given.
#[derive(Clone, Debug, Default)]
pub struct Core {
    pub(crate) sequence: u64,
    pub(crate) time: u64,
    pub(crate) last_order: u64,
    pub(crate) live: Live,
    pub(crate) books: Vec<Option<Box<Book>>>,
}

impl Core {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub fn time(&self) -> u64 {
        self.time
    }

    pub fn last_order(&self) -> u64 {
        self.last_order
    }

    pub fn last_trade(&self) -> u64 {
        self.live.last_trade
    }

    /// Orders that live.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn book(&self, instrument: u32) -> Option<&Book> {
        self.books.get(instrument as usize)?.as_deref()
    }

    /// Books, by number of their instruments.
    pub fn books(&self) -> impl Iterator<Item = &Book> {
        self.books.iter().filter_map(|book| book.as_deref())
    }

    pub fn order(&self, id: u64) -> Option<&Order> {
        self.live.place(id).map(|place| &self.live.orders[place])
    }

    /// Apply commands and append their events to `events`.
    ///
    /// # Errors
    /// The buffer as a whole is no sequence of commands; then nothing was applied.
    pub fn apply(&mut self, commands: &[u8], events: &mut Vec<u8>) -> Result<(), Malformed> {
        if commands.len() % COMMAND_SIZE != 0 {
            return Err(Malformed::Length(commands.len()));
        }
        let records = || commands.chunks_exact(COMMAND_SIZE).filter_map(|record| record.try_into().ok());
        let mut last = self.sequence;
        for (index, record) in records().enumerate() {
            let sequence = Command::decode(record).sequence;
            if sequence <= last {
                return Err(Malformed::Sequence { index, sequence, last });
            }
            last = sequence;
        }
        for record in records() {
            self.command(&Command::decode(record), events);
        }
        Ok(())
    }

    fn command(&mut self, command: &Command, events: &mut Vec<u8>) {
        self.sequence = command.sequence;
        self.time = self.time.max(command.timestamp);
        let mut tape = Tape::new(events, self.sequence, self.time);
        while let Some(place) = self.live.due(self.time) {
            let instrument = self.live.orders[place].instrument;
            if let Some(book) = book(&mut self.books, instrument) {
                self.live.cancel(book, place, EventKind::Expired, Reason::TimeReached, &mut tape);
            }
        }
        let done = match CommandKind::of(command.kind) {
            Some(CommandKind::New) => self.new_order(command, &mut tape),
            Some(CommandKind::Cancel) => self.cancel(command, &mut tape),
            Some(CommandKind::Replace) => self.replace(command, &mut tape),
            Some(CommandKind::MassCancel) => self.mass_cancel(command, &mut tape),
            Some(CommandKind::Define) => self.define(command, &mut tape),
            Some(CommandKind::SetState) => self.set_state(command, &mut tape),
            Some(CommandKind::Clock) => Ok(()),
            None => Err(Reason::UnknownKind),
        };
        if let Err(reason) = done {
            tape.emit(command.instrument, &rejected(command, reason));
        }
    }

    fn new_order(&mut self, command: &Command, tape: &mut Tape) -> Result<(), Reason> {
        let order = parsed(command)?;
        let book = book(&mut self.books, command.instrument).ok_or(Reason::UnknownInstrument)?;
        check(book, &order)?;
        if order.id <= self.last_order {
            return Err(Reason::InvalidOrderId);
        }
        if order.time_in_force == TimeInForce::Gtd && order.expiry <= self.time {
            return Err(Reason::InvalidExpiry);
        }
        book.check_open(0, order.quantity)?;
        if self.live.len() >= MAX_ORDERS {
            return Err(Reason::BookFull);
        }
        if post_only(&order) && book.crosses(order.side, order.price) {
            return Err(Reason::WouldCross);
        }
        self.last_order = order.id;
        tape.emit(book.id, &event(EventKind::Accepted, Reason::None, &order, order.quantity));
        act(&mut self.live, book, order, tape);
        Ok(())
    }

    /// The place and the book of the order that a command names, if it is its account's.
    fn owned(&mut self, command: &Command) -> Result<(u32, &mut Live, &mut Book), Reason> {
        let place = self.live.place(command.order_id).ok_or(Reason::UnknownOrder)?;
        let order = &self.live.orders[place];
        if order.account != command.account {
            return Err(Reason::UnknownOrder);
        }
        let book = book(&mut self.books, order.instrument).ok_or(Reason::UnknownOrder)?;
        Ok((place, &mut self.live, book))
    }

    fn cancel(&mut self, command: &Command, tape: &mut Tape) -> Result<(), Reason> {
        let (place, live, book) = self.owned(command)?;
        live.cancel(book, place, EventKind::Canceled, Reason::Requested, tape);
        Ok(())
    }

    fn replace(&mut self, command: &Command, tape: &mut Tape) -> Result<(), Reason> {
        let (place, live, book) = self.owned(command)?;
        let old = live.orders[place];
        if book.terms.state != InstrumentState::Open {
            return Err(Reason::NotOpen);
        }
        let mut new = Order { price: command.price, quantity: command.quantity, display: command.display, ..old };
        if old.order_type == OrderType::Stop {
            if new.price != 0 {
                return Err(Reason::InvalidPrice);
            }
        } else {
            book.check_price(new.price, new.price != old.price)?;
        }
        if old.waiting {
            book.check_stop_price(command.stop_price)?;
            new.stop_price = command.stop_price;
        }
        book.check_quantity(new.quantity)?;
        check_display(book, &new)?;
        if new.quantity <= old.traded() {
            return Err(Reason::QuantityTooLow);
        }
        new.remaining = new.quantity - old.traded();
        book.check_open(old.remaining, new.remaining)?;
        let same = (new.price, new.stop_price, new.display) == (old.price, old.stop_price, old.display);
        if same && new.remaining <= old.remaining {
            let hidden = old.remaining - old.visible;
            let less = old.remaining - new.remaining;
            let visible = if old.waiting { 0 } else { less.saturating_sub(hidden) };
            live.orders[place].quantity = new.quantity;
            book.lessen(&mut live.orders, place, visible, less);
            let order = &live.orders[place];
            let mut replaced = event(EventKind::Replaced, Reason::None, order, new.quantity);
            replaced.level = book.level_of(order);
            tape.emit(book.id, &replaced);
            return Ok(());
        }
        if post_only(&new) && book.crosses(new.side, new.price) {
            return Err(Reason::WouldCross);
        }
        let (_, level) = live.take(book, place);
        new.visible = 0;
        let mut replaced = event(EventKind::Replaced, Reason::None, &new, new.quantity);
        replaced.level = level;
        tape.emit(book.id, &replaced);
        act(live, book, new, tape);
        Ok(())
    }

    fn mass_cancel(&mut self, command: &Command, tape: &mut Tape) -> Result<(), Reason> {
        if command.side != 0 && Side::of(command.side).is_none() {
            return Err(Reason::InvalidCode);
        }
        if command.instrument != 0 && book(&mut self.books, command.instrument).is_none() {
            return Err(Reason::UnknownInstrument);
        }
        let wanted = |order: &Order| {
            (command.account == 0 || order.account == command.account)
                && (command.instrument == 0 || order.instrument == command.instrument)
                && (command.side == 0 || order.side as u8 == command.side)
        };
        let ids = self.live.ids(wanted);
        self.end(&ids, EventKind::Canceled, Reason::MassCancel, tape);
        let done = Event {
            side: command.side,
            account: command.account,
            quantity: ids.len() as u64,
            ..Event::of(EventKind::MassCanceled)
        };
        tape.emit(command.instrument, &done);
        Ok(())
    }

    fn end(&mut self, ids: &[u64], kind: EventKind, reason: Reason, tape: &mut Tape) {
        for id in ids {
            let Some(place) = self.live.place(*id) else { continue };
            let instrument = self.live.orders[place].instrument;
            if let Some(book) = book(&mut self.books, instrument) {
                self.live.cancel(book, place, kind, reason, tape);
            }
        }
    }

    fn define(&mut self, command: &Command, tape: &mut Tape) -> Result<(), Reason> {
        let terms = command.terms().ok_or(Reason::InvalidCode)?;
        if !(1..=MAX_INSTRUMENT).contains(&command.instrument) || !valid(&terms) {
            return Err(Reason::InvalidInstrument);
        }
        match book(&mut self.books, command.instrument) {
            Some(book) => {
                if (book.terms.tick, book.terms.lot) != (terms.tick, terms.lot) && !book.is_empty() {
                    return Err(Reason::NotEmpty);
                }
                book.terms = terms;
            }
            None => {
                let at = command.instrument as usize;
                if self.books.len() <= at {
                    self.books.resize_with(at + 1, || None);
                }
                self.books[at] = Some(Box::new(Book::new(command.instrument, terms)));
            }
        }
        self.entered_state(command.instrument, terms.state, tape);
        Ok(())
    }

    fn set_state(&mut self, command: &Command, tape: &mut Tape) -> Result<(), Reason> {
        let state = InstrumentState::of(command.side).ok_or(Reason::InvalidCode)?;
        book(&mut self.books, command.instrument).ok_or(Reason::UnknownInstrument)?.terms.state = state;
        self.entered_state(command.instrument, state, tape);
        Ok(())
    }

    fn entered_state(&mut self, instrument: u32, state: InstrumentState, tape: &mut Tape) {
        if state == InstrumentState::Closed {
            let ids = self.live.ids(|o| o.instrument == instrument && o.time_in_force == TimeInForce::Day);
            self.end(&ids, EventKind::Expired, Reason::SessionClosed, tape);
        }
        tape.emit(instrument, &Event::of(EventKind::Instrument));
    }
}

/// Kept apart from `Core`, so that orders and a book can be changed together.
fn book(books: &mut [Option<Box<Book>>], instrument: u32) -> Option<&mut Book> {
    books.get_mut(instrument as usize)?.as_deref_mut()
}

/// What was refused, as it was sent; the fields of an order stand for other things in a definition.
fn rejected(command: &Command, reason: Reason) -> Event {
    let rejected = Event { reason, ..Event::of(EventKind::Rejected) };
    match CommandKind::of(command.kind) {
        Some(CommandKind::Define | CommandKind::SetState) => rejected,
        _ => Event {
            side: command.side,
            order_id: command.order_id,
            account: command.account,
            price: command.price,
            quantity: command.quantity,
            ..rejected
        },
    }
}
