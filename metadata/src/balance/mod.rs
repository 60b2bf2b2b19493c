//! Which partitions should go to which broker, so that brokers carry alike: few moves, from an image
//! and what was measured. It proposes nothing and keeps no time.
//!
//! What a partition weighs is its share of the cluster's bytes plus its share of the requests, and a
//! little for being there, so that idle ones are spread too. The heaviest broker gives to the lightest,
//! what brings them closest: one with a hot partition gives the others away.

mod loads;
mod scale;
#[cfg(test)]
mod tests;

use odradek_common::ids::{BrokerId, LeaderEpoch, TopicPartition};
use odradek_common::limits::BALANCE_MOVES;

use crate::image::Image;
pub(crate) use loads::Loads;
use scale::Scale;

/// What one partition costs its owner, measured over a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Bytes a second that come and go.
    pub bytes_per_s: u64,
    /// Requests a second that name it.
    pub requests_per_s: u64,
}

/// When and how much is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceOptions {
    /// Two brokers differ by more than so many percent of the mean load: evening out begins ...
    pub begin_percent: u32,
    /// ... and goes on until none do by more than so many.
    pub settle_percent: u32,
    /// Moves that are under way at once.
    pub moves_max: usize,
}

impl Default for BalanceOptions {
    fn default() -> Self {
        Self { begin_percent: 20, settle_percent: 5, moves_max: BALANCE_MOVES }
    }
}

/// One partition that should move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The partition.
    pub partition: TopicPartition,
    /// Its leader epoch in the image.
    pub leader_epoch: LeaderEpoch,
    /// The broker that should own it: the target to set, after the replicas.
    pub to: BrokerId,
    /// The replicas to give it, `to` first, so that the preferred owner is not another; none if they
    /// may stay.
    pub replicas: Option<Vec<BrokerId>>,
}

/// Plans moves round by round.
#[derive(Debug)]
pub struct Balancer {
    options: BalanceOptions,
    /// Evening out has begun and has not settled.
    is_evening_out: bool,
}

impl Balancer {
    /// A balancer that has not begun.
    #[must_use]
    pub fn new(options: BalanceOptions) -> Self {
        Self { options, is_evening_out: false }
    }

    /// The moves of this round. Partitions that have a target already count as being there. None goes
    /// to a broker that is fenced or draining, and none leaves a fenced owner: that is a takeover's. Only those
    /// that are not `settling` move for the sake of the balance: each move is felt by who uses the partition.
    pub fn plan(
        &mut self,
        image: &Image,
        load: &dyn Fn(TopicPartition) -> Load,
        settling: &dyn Fn(TopicPartition) -> bool,
    ) -> Vec<Move> {
        let mut scale = Scale::new(image, load);
        let room = self.options.moves_max.saturating_sub(scale.under_way());
        let mut moves = scale.mend_reassignments(room);
        moves.extend(scale.drain(room - moves.len()));
        let percent = match self.is_evening_out {
            true => self.options.settle_percent,
            false => self.options.begin_percent,
        };
        let mut margin = scale.percent_of_mean(percent);
        while moves.len() < room {
            let next = scale.even_out(margin, settling);
            self.is_evening_out = next.is_some();
            let Some(next) = next else { break };
            moves.push(next);
            margin = scale.percent_of_mean(self.options.settle_percent);
        }
        moves
    }
}
