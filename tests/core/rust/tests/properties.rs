//! Properties of any sequence of commands.

use cift_book::{Command, CommandKind, Core, EventKind, OrderType, Reason, Terms, TimeInForce};
use cift_book::{COMMAND_SIZE, MAX_PRICE};
use core_tests::{hold, Audit, Seen, TERMS};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, Index};

const LIMIT: u8 = OrderType::Limit as u8;

/// Type and time in force that go together, and whether the order may hide a part.
fn kinds() -> impl Strategy<Value = (u8, u8, bool)> {
    use OrderType::{Limit, Market, Stop, StopLimit};
    use TimeInForce::{Day, Fok, Gtc, Gtd, Ioc};
    let rests = |kind: OrderType| [(kind, Day), (kind, Gtc), (kind, Gtd)];
    let all = [&rests(Limit)[..], &rests(Limit), &rests(Stop), &rests(StopLimit)].concat();
    let all = [&all[..], &[(Limit, Ioc), (Limit, Fok), (Market, Ioc), (Market, Fok)]].concat();
    select(all).prop_map(|(kind, tif)| (kind as u8, tif as u8, tif.rests() && matches!(kind, Limit | StopLimit)))
}

/// Prices are few, so that orders meet.
fn prices() -> impl Strategy<Value = i64> {
    95..=105i64
}

fn new_order() -> impl Strategy<Value = Command> {
    let terms = (1..=2u32, 1..=2u8, kinds(), 0..5u8, 1..=3u64, 1..=40u64);
    let more = (prices(), prices(), option(1..=9u64), 1..=30u64, prop::bool::weighted(0.15));
    (terms, more).prop_map(|((instrument, side, kind, self_trade, account, quantity), more)| {
        let ((order_type, time_in_force, hides), (price, stop_price, display, expiry, post_only)) = (kind, more);
        let rests = TimeInForce::of(time_in_force).is_some_and(TimeInForce::rests);
        let (priced, stops) = (order_type == LIMIT || order_type == 4, order_type >= 3);
        Command {
            kind: CommandKind::New as u8,
            instrument,
            side,
            order_type,
            time_in_force,
            self_trade,
            flags: u8::from(post_only && rests && order_type == LIMIT),
            account,
            quantity,
            display: display.filter(|_| hides).unwrap_or(0),
            price: if priced { price } else { 0 },
            stop_price: if stops { stop_price } else { 0 },
            expiry: if time_in_force == TimeInForce::Gtd as u8 { expiry } else { 0 },
            ..Command::default()
        }
    })
}

fn option(values: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(0.3, values)
}

fn replace() -> impl Strategy<Value = Command> {
    (1..=40u64, prices(), prices(), option(1..=9)).prop_map(|(quantity, price, stop_price, display)| Command {
        kind: CommandKind::Replace as u8,
        quantity,
        price,
        stop_price,
        display: display.unwrap_or(0),
        ..Command::default()
    })
}

fn other() -> impl Strategy<Value = Command> {
    let kinds = select(vec![CommandKind::MassCancel, CommandKind::SetState, CommandKind::Define, CommandKind::Clock]);
    (kinds, 0..=3u32, 0..=3u8, 0..=3u64).prop_map(|(kind, instrument, side, account)| {
        let command = Command { kind: kind as u8, instrument, side, account, ..Command::default() };
        match kind {
            // More often open than not, else little trades.
            CommandKind::SetState => Command { side: if account < 2 { 1 } else { side }, ..command },
            CommandKind::Define => command.with_terms(Terms { low: 90 + account as i64, high: 120, ..TERMS }),
            _ => command,
        }
    })
}

/// A command, the earlier order that it is about, and how much later it comes.
type Step = (Command, Index, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let cancel = Just(Command { kind: CommandKind::Cancel as u8, ..Command::default() });
    let command = prop_oneof![14 => new_order(), 3 => cancel, 4 => replace(), 1 => other()];
    vec((command, any::<Index>(), 0..3u64), 1..160)
}

/// The steps as a sequence of commands: two instruments are opened, then ids, owners and times are filled in.
fn sequence(steps: &[Step]) -> Vec<Command> {
    let define = |instrument| Command { kind: CommandKind::Define as u8, instrument, ..Command::default() };
    let mut commands = vec![define(1).with_terms(TERMS), define(2).with_terms(Terms { high: MAX_PRICE, ..TERMS })];
    let (mut sent, mut time): (Vec<(u64, u64)>, u64) = (Vec::new(), 0);
    for (command, earlier, later) in steps {
        time += later;
        let mut command = Command { timestamp: time, ..*command };
        if command.kind == CommandKind::New as u8 {
            command.order_id = sent.len() as u64 + 1;
            sent.push((command.order_id, command.account));
            command.expiry += if command.expiry == 0 { 0 } else { time };
        } else if !sent.is_empty()
            && matches!(CommandKind::of(command.kind), Some(CommandKind::Cancel | CommandKind::Replace))
        {
            (command.order_id, command.account) = *earlier.get(&sent);
        }
        commands.push(command);
    }
    for (number, command) in commands.iter_mut().enumerate() {
        command.sequence = number as u64 + 1;
    }
    commands
}

fn records(commands: &[Command]) -> Vec<u8> {
    commands.iter().flat_map(Command::encode).collect()
}

fn applied(core: &mut Core, command: &Command) -> Vec<Seen> {
    let mut events = Vec::new();
    core.apply(&command.encode(), &mut events).unwrap();
    Seen::all(&events)
}

/// The state without sequence, time and hash.
fn body(core: &Core) -> Vec<u8> {
    let snapshot = core.snapshot();
    snapshot[32..snapshot.len() - 32].to_vec()
}

proptest! {
    #[test]
    fn no_book_is_crossed_and_every_level_is_the_sum_of_its_orders(steps in steps()) {
        let mut core = Core::new();
        for command in sequence(&steps) {
            applied(&mut core, &command);
            hold(&core);
        }
    }

    #[test]
    fn quantity_is_conserved_priority_kept_and_no_account_trades_with_itself(steps in steps()) {
        let (mut core, mut audit) = (Core::new(), Audit::default());
        for command in sequence(&steps) {
            audit.follow(&command, &applied(&mut core, &command));
            audit.agrees(&core);
        }
    }

    #[test]
    fn a_rejected_command_changes_nothing(steps in steps()) {
        let mut core = Core::new();
        for command in sequence(&steps) {
            let before = body(&core);
            let events = applied(&mut core, &command);
            if events.len() == 1 && events[0].kind == EventKind::Rejected {
                prop_assert_eq!(before, body(&core));
            }
        }
    }

    #[test]
    fn every_command_but_the_clock_is_answered(steps in steps()) {
        let mut core = Core::new();
        for command in sequence(&steps) {
            let own = applied(&mut core, &command).iter().any(|event| event.reason != Reason::TimeReached);
            prop_assert_eq!(own, command.kind != CommandKind::Clock as u8);
        }
    }

    #[test]
    fn batches_and_snapshots_in_between_change_neither_events_nor_state(
        steps in steps(), size in 1..20usize, again in 1..5usize
    ) {
        let commands = sequence(&steps);
        let (mut whole, mut events) = (Core::new(), Vec::new());
        whole.apply(&records(&commands), &mut events).unwrap();
        let (mut parts, mut others) = (Core::new(), Vec::new());
        for (number, part) in commands.chunks(size).enumerate() {
            parts.apply(&records(part), &mut others).unwrap();
            if number % again == 0 {
                let snapshot = parts.snapshot();
                parts = Core::restore(&snapshot).unwrap();
                prop_assert_eq!(snapshot, parts.snapshot());
            }
        }
        prop_assert!(events == others);
        prop_assert_eq!(whole.state_hash(), parts.state_hash());
    }

    #[test]
    fn bytes_of_any_kind_are_answered_and_leave_a_state_that_can_be(
        steps in steps(), noise in vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..60)
    ) {
        let mut commands: Vec<[u8; COMMAND_SIZE]> = sequence(&steps).iter().map(Command::encode).collect();
        for (which, place, byte) in noise {
            // All but the sequence, which makes a buffer one.
            commands[which.index(steps.len() + 2)][8 + place.index(COMMAND_SIZE - 8)] = byte;
        }
        let (mut core, mut audit) = (Core::new(), Audit::default());
        for record in commands {
            let mut events = Vec::new();
            core.apply(&record, &mut events).unwrap();
            audit.follow(&Command::decode(&record), &Seen::all(&events));
        }
        hold(&core);
        audit.agrees(&core);
        prop_assert_eq!(Core::restore(&core.snapshot()).unwrap().snapshot(), core.snapshot());
    }

    #[test]
    fn a_snapshot_with_a_changed_byte_is_refused(steps in steps(), at in any::<Index>(), change in 1..=255u8) {
        let mut core = Core::new();
        core.apply(&records(&sequence(&steps)), &mut Vec::new()).unwrap();
        let mut snapshot = core.snapshot();
        let at = at.index(snapshot.len());
        snapshot[at] ^= change;
        prop_assert!(Core::restore(&snapshot).is_err());
    }
}

/// The properties are worth nothing if their commands do nothing: each kind of event and most reasons must come up.
#[test]
fn the_commands_of_the_properties_reach_every_kind_of_event() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kinds, mut reasons) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for _ in 0..200 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let mut core = Core::new();
        for command in sequence(&steps) {
            for event in applied(&mut core, &command) {
                kinds.insert(event.kind);
                reasons.insert(event.reason);
            }
        }
    }
    assert_eq!(kinds.len(), EventKind::ALL.len(), "{kinds:?}");
    assert!(reasons.len() >= 17, "{reasons:?}");
}
