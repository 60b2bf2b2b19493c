//! Good histories pass, and each fault planted in one is caught by its name.

use proptest::prelude::*;

use super::*;

const KEEPS: Place = Place { topic: 0, partition: 0 };
const DELETES: Place = Place { topic: 1, partition: 0 };

fn setup() -> Setup {
    let producers = [(0, Guarantee::Idempotent), (1, Guarantee::AtLeastOnce)].into();
    Setup { producers, deleting: [DELETES].into() }
}

/// A good history over both partitions: `sends` tells who sends and whether the answer comes.
fn good(sends: &[(bool, bool)], deleted: usize) -> Vec<Event> {
    let mut history = Vec::new();
    for (pass, place) in [(0, KEEPS), (10, DELETES)] {
        let mut records = Vec::new();
        for (sequence, (idempotent, answered)) in (0..).zip(sends) {
            let id = ValueId { producer: u32::from(!idempotent), place, sequence };
            let (_, stamp) = id.encode(&[7; 9]);
            let offset = i64::try_from(records.len()).unwrap();
            history.push(Event::Sent(stamp));
            if *answered {
                history.push(Event::Acknowledged { id, offset: Some(offset) });
            }
            records.push((offset, Content::Value(stamp)));
        }
        let end = i64::try_from(records.len()).unwrap();
        let low = if place == DELETES { i64::try_from(deleted).unwrap().min(end) } else { 0 };
        history.push(Event::Bounds { place, start: 0, end });
        for (pass, reader) in [(pass, Reader::Tail), (pass + 1, Reader::Scan { until: end })] {
            history.push(Event::PassBegan { pass, place, reader });
            for &(offset, content) in records.iter().filter(|(o, _)| pass < 10 || *o >= low) {
                history.push(Event::Read { pass, offset, content });
            }
        }
        history.push(Event::ScanEnded { pass: pass + 1 });
        history.push(Event::CommitSent { place, offset: end });
        history.push(Event::Committed { place, offset: end });
        history.push(Event::OffsetAsked { ask: pass, place });
        history.push(Event::OffsetAnswered { ask: pass, offset: Some(end) });
        history.push(Event::Bounds { place, start: low, end });
    }
    history
}

proptest! {
    #[test]
    fn good_histories_pass(
        sends in proptest::collection::vec(any::<(bool, bool)>(), 1..40),
        deleted in 0_usize..50,
    ) {
        prop_assert_eq!(check(&setup(), &good(&sends, deleted)), vec![]);
    }

    #[test]
    fn an_acknowledged_record_that_a_scan_misses_is_lost(count in 2_usize..30, lost in 0_usize..30) {
        let lost = i64::try_from(lost % count).unwrap();
        let mut history = good(&vec![(true, true); count], 0);
        history.retain(|e| !matches!(e, Event::Read { pass: 1, offset, .. } if *offset == lost));
        let found = check(&setup(), &history);
        prop_assert!(found.iter().any(|v| matches!(v, Violation::AcknowledgedLost { offset, .. } if *offset == Some(lost))), "{:?}", found);
        let gap = found.iter().any(|v| matches!(v, Violation::Gap { pass: 1, .. }));
        prop_assert!(gap, "{:?}", found);
    }
}

/// The violations of a history of five idempotent records after a change.
fn after(change: impl FnOnce(&mut Vec<Event>)) -> Vec<Violation> {
    let mut history = good(&[(true, true); 5], 2);
    change(&mut history);
    check(&setup(), &history)
}

fn content(sequence: u64) -> Content {
    let id = ValueId { producer: 0, place: KEEPS, sequence };
    Content::Value(id.encode(&[7; 9]).1)
}

/// Puts other contents in the place of what the passes 0 and 1 read at an offset.
fn put(history: &mut [Event], passes: &[u64], at: i64, new: Content) {
    for event in history {
        if let Event::Read { pass, offset, content } = event
            && passes.contains(pass)
            && *offset == at
        {
            *content = new;
        }
    }
}

fn bounds_at_end(start: i64, end: i64) -> impl FnOnce(&mut Vec<Event>) {
    move |history| history.push(Event::Bounds { place: KEEPS, start, end })
}

macro_rules! caught {
    ($name:ident, $change:expr, $violation:pat) => {
        #[test]
        fn $name() {
            let found = after($change);
            assert!(found.iter().any(|v| matches!(v, $violation)), "{found:?}");
            assert!(found.iter().all(|v| !v.to_string().is_empty()));
        }
    };
}

caught!(
    another_record,
    |h| put(h, &[0, 1], 2, content(3)),
    Violation::OtherRecord { offset: 2, .. }
);
caught!(
    a_duplicate,
    |h| put(h, &[0, 1], 4, content(3)),
    Violation::Duplicate { first: 3, second: 4, .. }
);
caught!(
    a_broken_order,
    |h| {
        h.retain(|e| !matches!(e, Event::Acknowledged { .. }));
        put(h, &[0, 1], 1, content(2));
        let end = h.len();
        put(&mut h[..end], &[0, 1], 2, content(1));
    },
    Violation::OutOfOrder { offset: 1, .. }
);
caught!(
    acknowledgements_out_of_order,
    |h| {
        for event in h {
            if let Event::Acknowledged { id, offset } = event
                && id.sequence == 4
            {
                *offset = Some(-1);
            }
        }
    },
    Violation::OutOfOrder { .. }
);
caught!(two_contents, |h| put(h, &[0], 2, content(3)), Violation::TwoContents { offset: 2, .. });
caught!(
    a_value_from_nowhere,
    |h| put(h, &[0], 2, content(99)),
    Violation::NobodySent { offset: 2, .. }
);
caught!(damage, |h| put(h, &[0], 2, Content::Damaged), Violation::Damaged { offset: 2, .. });
caught!(
    a_reader_that_goes_back,
    |h| h.push(Event::Read { pass: 0, offset: 1, content: content(1) }),
    Violation::WentBack { from: 4, to: 1, .. }
);
caught!(
    a_gap,
    |h| h.retain(|e| !matches!(e, Event::Read { pass: 0, offset: 2, .. })),
    Violation::Gap { pass: 0, from: 2, to: 3, .. }
);
caught!(
    a_gap_above_the_log_start,
    |h| h.retain(|e| !matches!(e, Event::Read { pass: 11, offset: 2, .. })),
    Violation::Gap { pass: 11, from: 0, to: 3, .. }
);
caught!(
    a_lost_commit,
    |h| h.extend([
        Event::OffsetAsked { ask: 5, place: KEEPS },
        Event::OffsetAnswered { ask: 5, offset: None },
    ]),
    Violation::CommitLost { committed: 5, found: None, .. }
);
caught!(
    a_commit_gone_back,
    |h| h.extend([
        Event::PassBegan { pass: 7, place: KEEPS, reader: Reader::Group },
        Event::Read { pass: 7, offset: 3, content: content(3) },
    ]),
    Violation::CommitLost { committed: 5, found: Some(3), .. }
);
caught!(
    an_invented_commit,
    |h| h.extend([
        Event::OffsetAsked { ask: 5, place: KEEPS },
        Event::OffsetAnswered { ask: 5, offset: Some(6) },
    ]),
    Violation::CommitInvented { found: 6, .. }
);
caught!(an_end_gone_back, bounds_at_end(0, 4), Violation::EndWentBack { end: 4, seen: 5, .. });
caught!(a_deletion_unasked, bounds_at_end(1, 5), Violation::DeletedUnasked { start: 1, .. });
caught!(
    a_start_gone_back,
    |h| h.push(Event::Bounds { place: DELETES, start: 1, end: 5 }),
    Violation::StartWentBack { start: 1, seen: 2, .. }
);
caught!(
    a_refused_record,
    |h| {
        let id = ValueId { producer: 0, place: KEEPS, sequence: 2 };
        let sent = h.iter().position(|e| matches!(e, Event::Sent(s) if s.id == id)).unwrap();
        h.insert(sent + 1, Event::Refused(id));
    },
    Violation::RefusedStored { offset: 2, .. }
);
