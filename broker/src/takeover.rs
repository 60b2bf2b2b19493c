//! Takeover (law 3.4): what a fenced incarnation left is sealed, its un-flushed slots are read, index
//! objects name their ranges, and its partitions get their new owner. No data moves. Each
//! step may be repeated, so a process that dies here is no different from one that died before.

mod heirs;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use odradek_common::ids::{ChainId, TopicPartition};
use odradek_common::phases::{Phase, Phases};
use odradek_metadata::image::{Partition, Registration, TopicState};
use odradek_metadata::{
    Command, HandedPartition, Image, Incarnation, Metadata, Outcome, ProposeError, TakeOver,
};
use odradek_storage::catalog::{Catalog, CatalogError};
use odradek_storage::flush::{self, FlushError, SlotPart};
use odradek_storage::names::ChainRef;
use odradek_storage::range::{CoverageError, Range};
use odradek_storage::wal::{ProducerBatch, RecoverError, Recovered, Wal};
use tracing::{debug, error, info, warn};

use heirs::Heirs;

use crate::attempts::Begun;
use crate::broken::Law;
use crate::handed::{Named, named};
use crate::partition::checkpoint::{self, CheckpointError};
use crate::partition::producers::Producers;
use crate::reading::{self, RangesError};

/// How often a takeover that met metadata older than the bucket looks at newer.
const STALE_RETRIES: usize = 5;

/// Why a takeover did not succeed; it may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// A chain could not be sealed or read.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The flushed part of a log cannot be found.
    #[error(transparent)]
    Ranges(#[from] RangesError),
    /// A producer checkpoint cannot be read.
    #[error("partition {partition}: {source}")]
    Checkpoint {
        /// Of this partition.
        partition: TopicPartition,
        /// Why.
        source: CheckpointError,
    },
    /// What was not flushed is not whole from the flushed end on.
    #[error(transparent)]
    Coverage(#[from] CoverageError),
    /// An index object could not be written.
    #[error(transparent)]
    Write(#[from] FlushError),
    /// The metadata refused or did not answer.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

impl TakeoverError {
    /// Whether a list was merged away since the takeover began: newer metadata names another.
    fn is_stale(&self) -> bool {
        matches!(self, Self::Ranges(RangesError::Catalog(CatalogError::Stale(_))))
    }

    /// Whether it concerns one partition only, whose data is damaged or gone. A store that cannot
    /// be reached concerns all.
    fn is_of_the_partition(&self) -> bool {
        match self {
            Self::Ranges(RangesError::Catalog(CatalogError::Store { .. })) => false,
            Self::Ranges(_) | Self::Checkpoint { .. } | Self::Coverage(_) => true,
            Self::Recover(_) | Self::Write(_) | Self::Propose(_) => false,
        }
    }
}

/// What a takeover works with.
pub struct Takeover<'a> {
    /// The metadata.
    pub metadata: &'a Metadata,
    /// What lies where in the bucket.
    pub catalog: &'a Catalog,
    /// The write-ahead logs, by the chain's kind.
    pub wal_of: &'a (dyn Fn(&Registration) -> Arc<dyn Wal> + Sync),
    /// Begins an attempt.
    pub begin_attempt: &'a (dyn Fn() -> Begun + Sync),
    /// Who takes over, and takes the partitions that nobody else does.
    pub me: Incarnation,
    /// The wall clock: when producers whose batches are found are said to be seen.
    pub now_ms: i64,
    /// Producers that were not seen for so long are forgotten.
    pub producer_expiration_ms: i64,
    /// Where the steps are noted.
    pub phases: &'a Phases,
    /// The law that is broken on purpose.
    pub broken: Option<Law>,
}

/// What a fenced incarnation's chains hold of one partition, and of nothing that was flushed.
#[derive(Debug, Default)]
struct Left {
    ranges: Vec<Range>,
    batches: Vec<ProducerBatch>,
}

/// What goes to whom.
type Items = BTreeMap<Incarnation, Vec<HandedPartition>>;

impl Takeover<'_> {
    /// Takes over every incarnation that is fenced and not recovered, the oldest first. Where a
    /// partition has to be left it is offline until an operator has looked; the others go on.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub async fn all(&self) -> Result<(), TakeoverError> {
        let mut tried = HashSet::new();
        loop {
            let image = self.metadata.image();
            let is_next =
                |r: &&Registration| !r.is_live() && !r.recovered && !tried.contains(&r.incarnation);
            let Some(from) = image.registrations().find(is_next).cloned() else { return Ok(()) };
            tried.insert(from.incarnation);
            self.one(&from).await?;
        }
    }

    /// Takes over one incarnation, but for partitions that have to be left because a slot of theirs
    /// cannot be read (law 3.5), or what was flushed of them. It is not recovered then.
    ///
    /// # Errors
    /// The first thing that went wrong; another may have been faster.
    pub async fn one(&self, from: &Registration) -> Result<(), TakeoverError> {
        for _ in 0..STALE_RETRIES {
            match self.once(from, false).await {
                Err(error) if error.is_stale() => {
                    debug!(from = %from.incarnation, %error, "merged meanwhile");
                }
                done => return done,
            }
        }
        self.once(from, true).await
    }

    /// The last try takes a list that is not there for lost: newer metadata names it still.
    async fn once(&self, from: &Registration, is_last: bool) -> Result<(), TakeoverError> {
        let fence = from.fenced_at.unwrap_or(0);
        let (mut left, mut lost) = (HashMap::new(), Lost::default());
        let is_read = |_: &u32| self.broken != Some(Law::SealedFirst);
        for chain in (0..from.chains()).filter(is_read) {
            let chain = ChainId(chain);
            let of =
                ChainRef { broker: from.incarnation.broker, epoch: from.incarnation.epoch, chain };
            let trim_point = from.trim_point(chain).unwrap_or(odradek_common::ids::SlotNumber(0));
            let wal = (self.wal_of)(from);
            let recovered = wal.recover(of, trim_point, from.window, fence).await?;
            lost.note(chain, &recovered);
            gather(recovered, &mut left);
        }
        let begun = (self.begin_attempt)();
        let image = &begun.image;
        let owned: Vec<(TopicPartition, Partition)> =
            image.owned_by(from.incarnation).map(|(at, p)| (at, p.clone())).collect();
        let (mut parts, mut items) = (Vec::new(), Items::new());
        let mut heirs = Heirs::new(image, self.me);
        let mut offline = 0;
        for (at, partition) in owned {
            if image.topic(at.topic).is_none_or(|topic| topic.state == TopicState::Deleting) {
                // Nothing of it is read any more, so that nothing of it can be missing either.
                items.entry(self.me).or_default().push(unchanged(at, &partition));
                continue;
            }
            if lost.holds(at, partition.chain) {
                error!(%at, from = %from.incarnation, "a slot of this partition cannot be read; it stays offline");
                offline += 1;
                continue;
            }
            let left = left.remove(&at).unwrap_or_default();
            match self.plan(image, at, &partition, left).await {
                Err(error) if error.is_stale() && !is_last => return Err(error),
                Ok((item, part)) => {
                    items.entry(heirs.next(&partition)).or_default().push(item);
                    parts.extend(part);
                }
                Err(error) if error.is_of_the_partition() => {
                    error!(%at, from = %from.incarnation, %error, "this partition stays offline");
                    offline += 1;
                }
                Err(error) => return Err(error),
            }
        }
        let unflushed = parts.len();
        let rounds = {
            let _in = self.phases.enter(Phase::Flush);
            flush::index_slots(&begun.attempt, parts).await?
        };
        for (to, items) in items {
            self.commit(from.incarnation, to, begun.attempt.mark(), named(items, &rounds)).await?;
        }
        if offline > 0 {
            warn!(from = %from.incarnation, unflushed, offline, "taken over but for partitions that stay offline");
            return Ok(());
        }
        self.metadata.propose(Command::MarkRecovered(from.incarnation)).await?;
        info!(from = %from.incarnation, unflushed, "taken over");
        Ok(())
    }

    /// What is taken of one partition: its un-flushed ranges from the flushed end on, and the
    /// producers as they stood at their end.
    async fn plan(
        &self,
        image: &Image,
        at: TopicPartition,
        partition: &Partition,
        mut left: Left,
    ) -> Result<(HandedPartition, Option<SlotPart>), TakeoverError> {
        let base = partition.flushed_end;
        left.ranges.retain(|r| r.next_offset > base && r.leader_epoch == partition.leader_epoch);
        left.ranges.sort_by_key(|r| r.base_offset);
        let mut item = unchanged(at, partition);
        let Some(last) = left.ranges.last() else { return Ok((item, None)) };
        item.end = last.next_offset;
        let flushed = reading::flushed_ranges(self.catalog, image, at).await?;
        let broken = |source| TakeoverError::Checkpoint { partition: at, source };
        let mut producers: Producers = checkpoint::decode(flushed.checkpoint()).map_err(broken)?;
        left.batches.sort_by_key(|b| b.base_offset);
        for batch in left.batches.iter().filter(|b| b.base_offset >= base) {
            producers.append(*batch, None, self.now_ms);
        }
        producers.expire(self.now_ms, self.producer_expiration_ms);
        let part = SlotPart {
            partition: at,
            group: partition.group,
            leader_epoch: partition.leader_epoch,
            ranges: left.ranges,
            checkpoint: Bytes::from(checkpoint::encode(&producers)),
        };
        part.check_from(base)?;
        Ok((item, Some(part)))
    }

    async fn commit(
        &self,
        from: Incarnation,
        to: Incarnation,
        mark: u64,
        commands: Vec<Named>,
    ) -> Result<(), TakeoverError> {
        let _in = self.phases.enter(Phase::Commit);
        for Named { index_object, items } in commands {
            let command =
                Command::TakeOver(TakeOver { mark, from, to, index_object, items: items.clone() });
            let Outcome::TakenOver(results) = self.metadata.propose(command).await? else {
                continue;
            };
            for (item, result) in items.iter().zip(results) {
                if let Err(refusal) = result {
                    warn!(partition = %item.partition, %refusal, "a takeover was refused");
                }
            }
        }
        Ok(())
    }
}

/// A partition that is taken as it was flushed.
fn unchanged(at: TopicPartition, partition: &Partition) -> HandedPartition {
    let (leader_epoch, flushed_end) = (partition.leader_epoch, partition.flushed_end);
    HandedPartition { partition: at, leader_epoch, flushed_end, end: flushed_end }
}

fn gather(recovered: Recovered, left: &mut HashMap<TopicPartition, Left>) {
    for slot in recovered.slots {
        for landed in slot.ranges {
            left.entry(landed.partition).or_default().ranges.push(landed.range);
        }
        for producers in slot.producers {
            let batches = &mut left.entry(producers.partition).or_default().batches;
            batches.extend(producers.batches);
        }
    }
}

/// The partitions that a slot which cannot be read may hold.
#[derive(Debug, Default)]
struct Lost {
    partitions: HashSet<TopicPartition>,
    chains: HashSet<ChainId>,
}

impl Lost {
    fn note(&mut self, chain: ChainId, recovered: &Recovered) {
        for slot in &recovered.unreadable {
            error!(slot = ?slot.slot, reason = %slot.reason, "a slot cannot be read");
            match &slot.partitions {
                Some(partitions) => self.partitions.extend(partitions),
                None => {
                    self.chains.insert(chain);
                }
            }
        }
    }

    fn holds(&self, at: TopicPartition, chain: ChainId) -> bool {
        self.partitions.contains(&at) || self.chains.contains(&chain)
    }
}
