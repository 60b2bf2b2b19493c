//! Partitions leave an incarnation that is fenced and sealed.

use odradek_common::limits::METADATA_ITEMS;

use super::pass_on::Passing;
use super::{Judged, check_limit};
use crate::command::TakeOver;
use crate::image::Image;
use crate::outcome::{Outcome, Refusal};

impl Image {
    /// Law 3.4: from a fenced incarnation, to one that is not, conditional by partition on owner,
    /// leader epoch and flushed end. That every chain of it is sealed is the proposer's word.
    pub(super) fn take_over(&mut self, index: u64, take: &TakeOver) -> Judged {
        check_limit("partitions of a command", take.items.len(), METADATA_ITEMS)?;
        self.check_mark(index, take.mark)?;
        if self.known(take.from)?.is_live() {
            return Err(Refusal::NotFenced(take.from));
        }
        self.live(take.to)?;
        let index_object = self.passed_index_object(take.index_object.as_deref(), take.mark)?;
        let passing = Passing { mark: take.mark, from: take.from, to: take.to, index_object };
        let results = take.items.iter().map(|item| self.pass_on(&passing, item)).collect();
        Ok(Outcome::TakenOver(results))
    }
}
