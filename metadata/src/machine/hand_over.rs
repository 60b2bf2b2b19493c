//! Partitions leave an owner with its consent.

use odradek_common::limits::METADATA_ITEMS;

use super::pass_on::Passing;
use super::{Judged, check_limit};
use crate::command::{HandOver, WalKind};
use crate::image::Image;
use crate::outcome::{Outcome, Refusal};

impl Image {
    /// Law 3.3: by an owner that is not fenced, to one that is not (law 3.4), conditional by
    /// partition on owner, leader epoch and flushed end. To itself it is the cancel: a fenced owner
    /// may not cancel either, as the sealer would not know of the leader epoch that it begins.
    pub(super) fn hand_over(&mut self, index: u64, hand: &HandOver) -> Judged {
        check_limit("partitions of a command", hand.items.len(), METADATA_ITEMS)?;
        self.check_mark(index, hand.mark)?;
        let kinds = [self.live(hand.by)?.wal, self.live(hand.to)?.wal];
        if hand.by != hand.to && kinds.contains(&WalKind::Disk) {
            return Err(Refusal::DiskWalIsForOne { other: hand.to.broker });
        }
        let index_object = self.passed_index_object(hand.index_object.as_deref(), hand.mark)?;
        let passing = Passing { mark: hand.mark, from: hand.by, to: hand.to, index_object };
        let results = hand.items.iter().map(|item| self.pass_on(&passing, item)).collect();
        Ok(Outcome::HandedOver(results))
    }
}
