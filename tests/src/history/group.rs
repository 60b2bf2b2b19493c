//! What a group committed. Its members only ever go forward, so what is found must lie between the
//! highest offset that was acknowledged and the highest that anyone tried to commit.

use std::collections::{BTreeMap, HashMap};

use super::{Place, Violation};

#[derive(Default)]
pub(super) struct Groups {
    acknowledged: BTreeMap<Place, i64>,
    tried: BTreeMap<Place, i64>,
    /// Questions under way, with what was acknowledged when they were asked.
    asked: HashMap<u64, (Place, Option<i64>)>,
}

impl Groups {
    pub(super) fn committed(&self, place: Place) -> Option<i64> {
        self.acknowledged.get(&place).copied()
    }

    pub(super) fn sent(&mut self, place: Place, offset: i64) {
        let tried = self.tried.entry(place).or_insert(offset);
        *tried = offset.max(*tried);
    }

    pub(super) fn acknowledged(&mut self, place: Place, offset: i64) {
        let acknowledged = self.acknowledged.entry(place).or_insert(offset);
        *acknowledged = offset.max(*acknowledged);
    }

    pub(super) fn asked(&mut self, ask: u64, place: Place) {
        self.asked.insert(ask, (place, self.committed(place)));
    }

    pub(super) fn answered(&mut self, ask: u64, found: Option<i64>) -> Option<Violation> {
        let (place, committed) = self.asked.remove(&ask)?;
        if let Some(committed) = committed.filter(|committed| found.is_none_or(|o| o < *committed))
        {
            return Some(Violation::CommitLost { place, committed, found });
        }
        let found = found?;
        let tried = self.tried.get(&place).copied();
        tried
            .is_none_or(|tried| found > tried)
            .then_some(Violation::CommitInvented { place, found })
    }
}
