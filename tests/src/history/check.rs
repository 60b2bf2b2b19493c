//! The checker: goes through a history once, in its order.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::group::Groups;
use super::passes::{Gap, Pass};
use super::{Content, Event, Guarantee, Place, Reader, Setup, Stamp, ValueId, Violation};

/// Everything in `history` that a broker must never do, in the order in which it shows.
#[must_use]
pub fn check(setup: &Setup, history: &[Event]) -> Vec<Violation> {
    let mut checker = Checker::new(setup);
    for event in history {
        checker.take(event);
    }
    checker.end()
}

/// What is known of one partition.
#[derive(Default)]
struct Log {
    /// What was acknowledged where.
    acknowledged: BTreeMap<i64, ValueId>,
    /// What was acknowledged without a word where.
    acknowledged_somewhere: Vec<ValueId>,
    /// What was read where, by anyone.
    contents: BTreeMap<i64, Stamp>,
    /// The highest log start that was seen or acknowledged.
    start: i64,
    /// The highest end that was seen or follows from what was.
    end: i64,
}

/// A value as its producer knows it.
struct Fate {
    crc: u32,
    refused: bool,
}

struct Checker<'a> {
    setup: &'a Setup,
    values: HashMap<ValueId, Fate>,
    logs: BTreeMap<Place, Log>,
    /// Offsets acknowledged to idempotent producers, by their sequences.
    sequences: HashMap<(u32, Place), BTreeMap<u64, i64>>,
    passes: HashMap<u64, Pass>,
    gaps: Vec<Gap>,
    groups: Groups,
    violations: Vec<Violation>,
}

impl<'a> Checker<'a> {
    fn new(setup: &'a Setup) -> Self {
        Self {
            setup,
            values: HashMap::new(),
            logs: BTreeMap::new(),
            sequences: HashMap::new(),
            passes: HashMap::new(),
            gaps: Vec::new(),
            groups: Groups::default(),
            violations: Vec::new(),
        }
    }

    fn take(&mut self, event: &Event) {
        match *event {
            Event::Sent(stamp) => {
                self.values.insert(stamp.id, Fate { crc: stamp.crc, refused: false });
            }
            Event::Acknowledged { id, offset } => self.acknowledged(id, offset),
            Event::Refused(id) => {
                if let Some(fate) = self.values.get_mut(&id) {
                    fate.refused = true;
                }
            }
            Event::Deleted { place, low } => {
                let log = self.logs.entry(place).or_default();
                log.start = log.start.max(low);
            }
            Event::Bounds { place, start, end } => self.bounds(place, start, end),
            Event::PassBegan { pass, place, reader } => {
                let committed = self.groups.committed(place);
                self.passes.insert(pass, Pass::new(place, reader, committed));
            }
            Event::Read { pass, offset, content } => self.read(pass, offset, content),
            Event::ScanEnded { pass } => self.scan_ended(pass),
            Event::CommitSent { place, offset } => self.groups.sent(place, offset),
            Event::Committed { place, offset } => self.groups.acknowledged(place, offset),
            Event::OffsetAsked { ask, place } => self.groups.asked(ask, place),
            Event::OffsetAnswered { ask, offset } => {
                self.violations.extend(self.groups.answered(ask, offset));
            }
        }
    }

    fn is_idempotent(&self, producer: u32) -> bool {
        self.setup.producers.get(&producer) == Some(&Guarantee::Idempotent)
    }

    fn acknowledged(&mut self, id: ValueId, offset: Option<i64>) {
        let log = self.logs.entry(id.place).or_default();
        let Some(offset) = offset else {
            log.acknowledged_somewhere.push(id);
            return;
        };
        log.end = log.end.max(offset + 1);
        if let Some(before) = log.acknowledged.insert(offset, id)
            && before != id
        {
            let (acknowledged, found) = (before, id);
            self.violations.push(Violation::OtherRecord { offset, acknowledged, found });
        }
        if self.is_idempotent(id.producer) {
            self.order_of_acknowledgements(id, offset);
        }
    }

    /// A later sequence has a higher offset.
    fn order_of_acknowledgements(&mut self, id: ValueId, offset: i64) {
        let sequences = self.sequences.entry((id.producer, id.place)).or_default();
        let before = sequences.range(..id.sequence).next_back().map(|(s, o)| (*s, *o));
        let after = sequences.range(id.sequence + 1..).next().map(|(s, o)| (*s, *o));
        sequences.insert(id.sequence, offset);
        if let Some((sequence, _)) = before.filter(|(_, before)| *before >= offset) {
            let earlier = ValueId { sequence, ..id };
            self.violations.push(Violation::OutOfOrder { earlier, later: id, offset });
        }
        if let Some((sequence, after)) = after.filter(|(_, after)| *after <= offset) {
            let later = ValueId { sequence, ..id };
            self.violations.push(Violation::OutOfOrder { earlier: id, later, offset: after });
        }
    }

    fn bounds(&mut self, place: Place, start: i64, end: i64) {
        let deleting = self.setup.deleting.contains(&place);
        let log = self.logs.entry(place).or_default();
        if start < log.start {
            self.violations.push(Violation::StartWentBack { place, start, seen: log.start });
        }
        if start > 0 && !deleting {
            self.violations.push(Violation::DeletedUnasked { place, start });
        }
        let least = log.end.max(log.start);
        if end < least {
            self.violations.push(Violation::EndWentBack { place, end, seen: least });
        }
        log.start = log.start.max(start);
        log.end = log.end.max(end);
    }

    fn read(&mut self, pass: u64, offset: i64, content: Content) {
        let Some(reader) = self.passes.get_mut(&pass) else { return };
        let place = reader.place;
        let (gap, broken) = reader.read(pass, offset, content);
        self.gaps.extend(gap);
        self.violations.extend(broken);
        let Content::Value(stamp) = content else {
            self.violations.push(Violation::Damaged { place, offset });
            return;
        };
        match self.values.get(&stamp.id) {
            Some(fate) if fate.crc == stamp.crc && stamp.id.place == place => {
                if fate.refused {
                    self.violations.push(Violation::RefusedStored { id: stamp.id, offset });
                }
            }
            _ => self.violations.push(Violation::NobodySent { place, offset, found: stamp }),
        }
        let log = self.logs.entry(place).or_default();
        log.end = log.end.max(offset + 1);
        let first = *log.contents.entry(offset).or_insert(stamp);
        if first != stamp {
            let second = stamp;
            self.violations.push(Violation::TwoContents { place, offset, first, second });
        }
    }

    fn scan_ended(&mut self, pass: u64) {
        let Some(scan) = self.passes.remove(&pass) else { return };
        let Reader::Scan { until } = scan.reader else { return };
        self.gaps.extend(scan.rest(pass, until));
        self.producers_of(&scan);
        let deleting = self.setup.deleting.contains(&scan.place);
        let log = self.logs.entry(scan.place).or_default();
        for (&offset, &acknowledged) in &log.acknowledged {
            match scan.records.get(&offset).map(|stamp| stamp.id) {
                Some(found) if found == acknowledged => {}
                Some(found) => {
                    self.violations.push(Violation::OtherRecord { offset, acknowledged, found });
                }
                // Deletion may overtake a scan; whether it did, the gaps tell.
                None if deleting => {}
                None => {
                    let (id, offset) = (acknowledged, Some(offset));
                    self.violations.push(Violation::AcknowledgedLost { id, offset });
                }
            }
        }
        if !deleting {
            let found: HashSet<ValueId> = scan.records.values().map(|stamp| stamp.id).collect();
            let missing = log.acknowledged_somewhere.iter().filter(|id| !found.contains(id));
            let lost = missing.map(|id| Violation::AcknowledgedLost { id: *id, offset: None });
            self.violations.extend(lost);
        }
    }

    /// Each record of an idempotent producer once, in the order in which it was sent.
    fn producers_of(&mut self, scan: &Pass) {
        let mut seen: HashMap<ValueId, i64> = HashMap::new();
        let mut newest: HashMap<u32, (ValueId, i64)> = HashMap::new();
        for (&offset, stamp) in &scan.records {
            let id = stamp.id;
            if !self.is_idempotent(id.producer) {
                continue;
            }
            if let Some(first) = seen.insert(id, offset) {
                self.violations.push(Violation::Duplicate { id, first, second: offset });
                continue;
            }
            match newest.get(&id.producer) {
                Some(&(later, offset)) if later.sequence > id.sequence => {
                    self.violations.push(Violation::OutOfOrder { earlier: id, later, offset });
                }
                _ => _ = newest.insert(id.producer, (id, offset)),
            }
        }
    }

    /// Gaps are judged last: deletion may have overtaken a reader, which shows only later.
    fn end(mut self) -> Vec<Violation> {
        for Gap { pass, place, from, to } in std::mem::take(&mut self.gaps) {
            let deleted = self.logs.get(&place).map_or(0, |log| log.start);
            if !self.setup.deleting.contains(&place) || to > deleted {
                self.violations.push(Violation::Gap { pass, place, from, to });
            }
        }
        self.violations
    }
}
