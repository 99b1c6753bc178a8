//! Bytes of any kind as a story that a core is told, for a fuzzer to write.

use cift_book::OrderType::{self, Limit, Market, Stop, StopLimit};
use cift_book::TimeInForce::{self, Day, Fok, Gtc, Gtd, Ioc};
use cift_book::{Command, CommandKind, Core, Terms, COMMAND_SIZE, MAX_PRICE, MAX_QUANTITY};
use sha2::{Digest, Sha256};

use crate::{hold, Audit, Seen, TERMS};

const HASH: usize = 32;
/// Bytes of a command in a story.
const WORD: usize = 8;
/// Types and times in force that go together.
const KINDS: [(OrderType, TimeInForce); 13] = [
    (Limit, Gtc),
    (Limit, Day),
    (Limit, Gtd),
    (Limit, Ioc),
    (Limit, Fok),
    (Market, Ioc),
    (Market, Fok),
    (Stop, Gtc),
    (Stop, Day),
    (Stop, Gtd),
    (StopLimit, Gtc),
    (StopLimit, Day),
    (StopLimit, Gtd),
];

/// What one story has shown.
pub struct Told {
    pub events: Vec<Seen>,
    /// A snapshot that was changed and given a right hash; whether it was restored.
    pub restored: Option<bool>,
}

/// Tell a story. Its first byte says how many patches follow, of three bytes, and what they change: nothing, the records
/// of the commands, or a snapshot at the end. The rest are commands.
///
/// # Panics
/// The core broke a rule that [`Audit`] or [`hold`] knows, answered another way in other batches, or restored a snapshot
/// to something else.
pub fn tell(story: &[u8]) -> Option<Told> {
    let (first, rest) = story.split_first()?;
    let (patches, words) = rest.split_at_checked(usize::from((first >> 2) & 7) * 3)?;
    let patches: Vec<&[u8]> = patches.chunks(3).collect();
    let (of_records, of_snapshot) = (first & 3 == 2, first & 3 == 3);
    let mut records: Vec<[u8; COMMAND_SIZE]> = commands(words).iter().map(Command::encode).collect();
    for patch in patches.iter().filter(|_| of_records) {
        let at = usize::from(patch[0]) % records.len();
        // All but the sequence, which makes a buffer one.
        records[at][8 + usize::from(patch[1]) % (COMMAND_SIZE - 8)] ^= patch[2];
    }
    let events = followed(&records);
    let core = in_batches(&records, usize::from(first >> 5) + 1, &events);
    let restored = of_snapshot.then(|| changed(core.snapshot(), &patches, &records));
    Some(Told { events: Seen::all(&events), restored })
}

/// The events of the commands, each of them checked.
fn followed(records: &[[u8; COMMAND_SIZE]]) -> Vec<u8> {
    let (mut core, mut audit, mut all) = (Core::new(), Audit::default(), Vec::new());
    for record in records {
        let before = all.len();
        core.apply(record, &mut all).expect("sequences count");
        audit.follow(&Command::decode(record), &Seen::all(&all[before..]));
    }
    hold(&core);
    audit.agrees(&core);
    all
}

/// The core that the commands lead to in batches, with a snapshot taken and restored after the first.
fn in_batches(records: &[[u8; COMMAND_SIZE]], size: usize, events: &[u8]) -> Core {
    let (mut core, mut others) = (Core::new(), Vec::new());
    for (number, batch) in records.chunks(size * 4).enumerate() {
        core.apply(batch.as_flattened(), &mut others).expect("sequences count");
        if number == 0 {
            core = Core::restore(&core.snapshot()).expect("its own snapshot");
        }
    }
    assert!(events == others, "other batches, other events");
    core
}

/// Whether a snapshot with some bytes changed, and the hash of those, is taken; it must then be a state that can be.
fn changed(mut snapshot: Vec<u8>, patches: &[&[u8]], records: &[[u8; COMMAND_SIZE]]) -> bool {
    snapshot.truncate(snapshot.len() - HASH);
    for patch in patches {
        let at = usize::from(u16::from_le_bytes([patch[0], patch[1]])) % snapshot.len();
        snapshot[at] ^= patch[2];
    }
    snapshot.extend_from_slice(&Sha256::digest(&snapshot));
    let Ok(mut core) = Core::restore(&snapshot) else { return false };
    assert!(core.snapshot() == snapshot, "restored to another state");
    hold(&core);
    // It must bear the same commands once more, where its sequence has room for them.
    for (number, record) in (1..).zip(records) {
        if let Some(sequence) = core.sequence().checked_add(number) {
            let command = Command { sequence, ..Command::decode(record) };
            core.apply(&command.encode(), &mut Vec::new()).expect("the next sequence");
        }
    }
    hold(&core);
    true
}

/// Two instruments are opened, then the words follow.
fn commands(words: &[u8]) -> Vec<Command> {
    let define = |instrument| Command { kind: CommandKind::Define as u8, instrument, ..Command::default() };
    let mut commands = vec![define(1).with_terms(TERMS), define(2).with_terms(TERMS)];
    let (mut sent, mut time): (Vec<Command>, u64) = (Vec::new(), 0);
    for word in words.chunks_exact(WORD) {
        time += u64::from(word[0] >> 5);
        let kind = CommandKind::of(word[0] & 31).unwrap_or(CommandKind::New);
        let earlier = sent.len().checked_sub(1).map(|last| sent[last - usize::from(word[3]) % (last + 1)]);
        let command = match (kind, earlier) {
            (CommandKind::New, _) => new_order(word, time, sent.len() as u64 + 1),
            (CommandKind::Cancel | CommandKind::Replace, Some(order)) => about(kind, word, &order),
            (_, _) => other(kind, word),
        };
        if kind == CommandKind::New {
            sent.push(command);
        }
        commands.push(Command { timestamp: time, ..command });
    }
    for (sequence, command) in (1..).zip(&mut commands) {
        command.sequence = sequence;
    }
    commands
}

/// An order that is well-formed but in one case of sixteen, so that most of them act.
fn new_order(word: &[u8], time: u64, id: u64) -> Command {
    let (order_type, time_in_force) = KINDS[usize::from(word[2] & 15) % KINDS.len()];
    let expiry = time + u64::from(word[7] >> 4);
    let raw = Command {
        kind: CommandKind::New as u8,
        instrument: u32::from(word[1] & 1) + 1,
        side: ((word[1] >> 1) & 1) + 1,
        order_type: order_type as u8,
        time_in_force: time_in_force as u8,
        self_trade: ((word[1] >> 2) & 7) % 5,
        flags: (word[1] >> 5) & 1,
        account: u64::from((word[1] >> 6) % 3) + 1,
        // Now and then an id that was given before.
        order_id: id - u64::from(word[2] >> 4 == 14),
        quantity: if word[6] == u8::MAX { MAX_QUANTITY } else { u64::from(word[6] % 41) },
        display: u64::from(word[7] & 15),
        price: price(word[4]),
        stop_price: price(word[5]),
        expiry,
        ..Command::default()
    };
    if word[2] >> 4 == 15 {
        return Command { order_type: word[3] & 7, time_in_force: (word[3] >> 3) & 7, ..raw };
    }
    let priced = matches!(order_type, OrderType::Limit | OrderType::StopLimit);
    let stops = matches!(order_type, OrderType::Stop | OrderType::StopLimit);
    let hides = priced && time_in_force.rests();
    Command {
        flags: if hides && !stops { raw.flags } else { 0 },
        display: if hides { raw.display } else { 0 },
        price: if priced { raw.price } else { 0 },
        stop_price: if stops { raw.stop_price } else { 0 },
        expiry: if time_in_force == TimeInForce::Gtd { expiry } else { 0 },
        ..raw
    }
}

/// What its owner, or now and then another, wants of an earlier order; half of what it says is as it was.
fn about(kind: CommandKind, word: &[u8], order: &Command) -> Command {
    let like = |byte: u8, was: i64| if byte < 128 { was } else { price(byte - 128) };
    let (less, display) = (u64::from(word[6] & 15), u64::from(word[7] & 15));
    Command {
        kind: kind as u8,
        account: if word[1] == u8::MAX { 9 } else { order.account },
        order_id: order.order_id,
        quantity: if word[6] < 128 { order.quantity.saturating_sub(less) } else { u64::from(word[6] - 128) },
        display: if display < 8 { order.display } else { display - 8 },
        price: like(word[4], order.price),
        stop_price: like(word[5], order.stop_price),
        ..Command::default()
    }
}

fn other(kind: CommandKind, word: &[u8]) -> Command {
    let command = Command {
        kind: kind as u8,
        instrument: u32::from(word[1] & 3),
        side: (word[1] >> 2) & 3,
        account: u64::from((word[1] >> 4) & 3),
        ..Command::default()
    };
    if kind != CommandKind::Define {
        return command;
    }
    command.with_terms(Terms {
        tick: i64::from(word[2] & 3) + 1,
        lot: u64::from((word[2] >> 2) & 3) + 1,
        low: price(word[4]),
        high: price(word[5]),
        ..TERMS
    })
}

/// Few prices, so that orders meet; some that cannot be, and the highest.
fn price(byte: u8) -> i64 {
    match byte >> 4 {
        15 => MAX_PRICE - i64::from(byte & 15),
        14 => i64::from(byte & 15) - 2,
        _ => 96 + i64::from(byte & 7),
    }
}
