//! The stories that a fuzzer has found, told again: each of them is checked as it is told.

use std::collections::BTreeSet;

use cift_book::{EventKind, Reason};
use core_tests::tell;

/// They are worth nothing if nothing happens in them.
#[test]
fn the_stories_of_the_corpus_reach_every_kind_of_event_and_all_reasons_but_one() {
    let (mut kinds, mut reasons, mut restored) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).expect("the corpus") {
        let story = std::fs::read(entry.expect("an entry").path()).expect("a story");
        let Some(told) = tell(&story) else { continue };
        kinds.extend(told.events.iter().map(|event| event.kind as u8));
        reasons.extend(told.events.iter().map(|event| event.reason as u8));
        restored.extend(told.restored);
    }
    let missing = |all: &[(&'static str, u8)], seen: &BTreeSet<u8>| -> Vec<&str> {
        all.iter().filter(|(_, code)| !seen.contains(code)).map(|(name, _)| *name).collect()
    };
    assert_eq!(missing(EventKind::ALL, &kinds), [""; 0]);
    // To fill a book takes a thousand orders of the highest quantity: more than a story holds.
    assert_eq!(missing(Reason::ALL, &reasons), ["BOOK_FULL"]);
    assert_eq!(restored.len(), 2, "a changed snapshot was always, or never, restored");
}
