//! One reader's way through one partition.

use std::collections::BTreeMap;

use super::{Content, Place, Reader, Stamp, Violation};

/// Offsets that a reader was not given: right only if they were deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) pass: u64,
    pub(super) place: Place,
    pub(super) from: i64,
    pub(super) to: i64,
}

pub(super) struct Pass {
    pub(super) place: Place,
    pub(super) reader: Reader,
    /// What a scan has read.
    pub(super) records: BTreeMap<i64, Stamp>,
    /// The group's acknowledged offset when the pass began.
    committed: Option<i64>,
    last: Option<i64>,
}

impl Pass {
    pub(super) fn new(place: Place, reader: Reader, committed: Option<i64>) -> Self {
        Self { place, reader, records: BTreeMap::new(), committed, last: None }
    }

    pub(super) fn read(
        &mut self,
        pass: u64,
        offset: i64,
        content: Content,
    ) -> (Option<Gap>, Option<Violation>) {
        let place = self.place;
        let (mut gap, mut broken) = (None, None);
        let expected = match self.last {
            Some(last) if offset <= last => {
                broken = Some(Violation::WentBack { pass, place, from: last, to: offset });
                None
            }
            Some(last) => Some(last + 1),
            None => self.first(offset, &mut broken),
        };
        if let Some(from) = expected.filter(|expected| *expected < offset) {
            gap = Some(Gap { pass, place, from, to: offset });
        }
        if let (Reader::Scan { .. }, Content::Value(stamp)) = (self.reader, content) {
            self.records.insert(offset, stamp);
        }
        self.last = Some(offset);
        (gap, broken)
    }

    /// Where the pass has to begin, if that is known.
    fn first(&self, offset: i64, broken: &mut Option<Violation>) -> Option<i64> {
        match self.reader {
            Reader::Scan { .. } => Some(0),
            Reader::Tail => None,
            Reader::Group => {
                let committed = self.committed?;
                if offset < committed {
                    let (place, found) = (self.place, Some(offset));
                    *broken = Some(Violation::CommitLost { place, committed, found });
                }
                // A commit whose answer was lost may have moved the group farther.
                None
            }
        }
    }

    /// What a scan that has ended did not read at its end.
    pub(super) fn rest(&self, pass: u64, until: i64) -> Option<Gap> {
        let from = self.last.map_or(0, |last| last + 1);
        (from < until).then_some(Gap { pass, place: self.place, from, to: until })
    }
}
