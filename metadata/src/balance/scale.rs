//! The brokers and what each carries.

use std::collections::{BTreeMap, BTreeSet};

use odradek_common::ids::{BrokerId, TopicId, TopicPartition};
use odradek_common::limits::BALANCE_CANDIDATES;

use super::{Load, Move};
use crate::image::{Image, Partition, Registration, TopicState};

/// All bytes of the cluster, and all its requests, weigh so much each.
const SHARE: u64 = 1 << 40;
/// All its partitions weigh so much for being there.
const PRESENCE: u64 = SHARE / 16;
/// Before all partitions of one weight.
const FIRST: TopicPartition = TopicPartition { topic: TopicId::NIL, partition: i32::MIN };

/// A live broker.
#[derive(Debug, Default)]
struct Pan {
    /// The weight of what it owns or is to own.
    load: u64,
    /// False if it is draining.
    takes_partitions: bool,
    /// What it owns and may give away, by weight.
    movable: BTreeSet<(u64, TopicPartition)>,
}

/// Where a partition is, for the balance.
enum Standing {
    /// On its way to a broker.
    UnderWay(BrokerId),
    /// Reassigned, but its target does not take it: another replica does.
    Mend(BrokerId),
    /// Reassigned to replicas of which none takes it.
    Waits,
    /// It may be moved.
    Movable,
}

pub(super) struct Scale<'a> {
    image: &'a Image,
    pans: BTreeMap<BrokerId, Pan>,
    under_way: usize,
    to_mend: Vec<(TopicPartition, BrokerId)>,
}

impl<'a> Scale<'a> {
    pub(super) fn new(image: &'a Image, load: &dyn Fn(TopicPartition) -> Load) -> Self {
        let pan = |broker: &Registration| {
            let takes_partitions = broker.takes_partitions();
            (broker.incarnation.broker, Pan { takes_partitions, ..Pan::default() })
        };
        let pans = image.live_brokers().map(pan).collect();
        let mut scale = Self { image, pans, under_way: 0, to_mend: Vec::new() };
        let is_live = |at: TopicPartition, partition: &Partition| {
            image.is_live(partition.owner)
                && image.topic(at.topic).is_some_and(|topic| topic.state == TopicState::Live)
        };
        let loads: Vec<_> = image
            .partitions()
            .filter(|(at, partition)| is_live(*at, partition))
            .map(|(at, partition)| (at, partition, load(at)))
            .collect();
        let weigh = Weights::new(loads.iter().map(|(.., load)| load));
        for (at, partition, load) in &loads {
            scale.put(*at, partition, weigh.of(load));
        }
        scale
    }

    fn put(&mut self, at: TopicPartition, partition: &Partition, weight: u64) {
        let owner = partition.owner.broker;
        let (broker, is_movable) = match self.standing(partition) {
            Standing::UnderWay(to) => {
                self.under_way += 1;
                (to, false)
            }
            Standing::Mend(to) => {
                self.to_mend.push((at, to));
                (to, false)
            }
            Standing::Waits => (owner, false),
            Standing::Movable => (owner, true),
        };
        let Some(pan) = self.pans.get_mut(&broker) else { return };
        pan.load += weight;
        if is_movable {
            pan.movable.insert((weight, at));
        }
    }

    fn standing(&self, partition: &Partition) -> Standing {
        if let Some(target) = partition.target
            && self.takes(target)
        {
            return Standing::UnderWay(target);
        }
        match &partition.former_replicas {
            None => Standing::Movable,
            Some(_) => match partition.replicas.iter().find(|replica| self.takes(**replica)) {
                Some(replica) => Standing::Mend(*replica),
                None => Standing::Waits,
            },
        }
    }

    fn takes(&self, broker: BrokerId) -> bool {
        self.pans.get(&broker).is_some_and(|pan| pan.takes_partitions)
    }

    /// How many partitions have a target that they can reach.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// So many percent of what each broker would carry if all were alike.
    pub(super) fn percent_of_mean(&self, percent: u32) -> u64 {
        let total: u64 = self.pans.values().map(|pan| pan.load).sum();
        let brokers = self.pans.values().filter(|pan| pan.takes_partitions).count().max(1);
        let mean = total / u64::try_from(brokers).unwrap_or(u64::MAX);
        mean / 100 * u64::from(percent)
    }

    /// Gives reassignments whose target is gone another one of their replicas, at most `room`.
    pub(super) fn mend_reassignments(&mut self, room: usize) -> Vec<Move> {
        let to_mend = std::mem::take(&mut self.to_mend);
        let mend = |(at, to)| {
            let leader_epoch = self.image.partition(at)?.leader_epoch;
            Some(Move { partition: at, leader_epoch, to, replicas: None })
        };
        to_mend.into_iter().filter_map(mend).take(room).collect()
    }

    /// Moves at most `room` partitions from draining brokers to the lightest, the heaviest first.
    pub(super) fn drain(&mut self, room: usize) -> Vec<Move> {
        let draining = self.pans.iter().filter(|(_, pan)| !pan.takes_partitions);
        let items: Vec<_> = draining
            .flat_map(|(broker, pan)| pan.movable.iter().rev().map(move |item| (*broker, *item)))
            .take(room)
            .collect();
        let mut moves = Vec::with_capacity(items.len());
        for (from, item) in items {
            let takers = self.by_load();
            let keeps_racks = |(_, to): &&(u64, BrokerId)| self.keeps_racks(item.1, *to);
            let to = takers.iter().find(keeps_racks).or_else(|| takers.first());
            let Some((_, to)) = to else { break };
            moves.extend(self.shift(from, *to, item));
        }
        moves
    }

    /// The move that brings the heaviest and the lightest broker closest, or the next such pair, that
    /// differ by more than `margin`. Each makes the sum of the squared loads less, so that they end.
    pub(super) fn even_out(
        &mut self,
        margin: u64,
        settling: &dyn Fn(TopicPartition) -> bool,
    ) -> Option<Move> {
        let takers = self.by_load();
        for (high, from) in takers.iter().rev() {
            for (low, to) in &takers {
                let gap = high.saturating_sub(*low);
                if gap <= margin {
                    break;
                }
                if let Some(item) = self.fitting(*from, *to, gap, settling) {
                    return self.shift(*from, *to, item);
                }
            }
        }
        None
    }

    /// Of what `from` may give to `to`, which carries less by `gap`: the heaviest that weighs at most
    /// half of it, else the lightest that weighs less than all of it.
    fn fitting(
        &self,
        from: BrokerId,
        to: BrokerId,
        gap: u64,
        settling: &dyn Fn(TopicPartition) -> bool,
    ) -> Option<(u64, TopicPartition)> {
        let movable = &self.pans.get(&from)?.movable;
        let half = (gap / 2 + 1, FIRST);
        let is_settled = |(_, at): &&(u64, TopicPartition)| !settling(*at);
        let lighter = movable.range(..half).rev().filter(is_settled).take(BALANCE_CANDIDATES);
        let heavier = movable.range(half..).take_while(|(weight, _)| *weight < gap);
        let heavier = heavier.filter(is_settled);
        let mut fitting = lighter.chain(heavier.take(BALANCE_CANDIDATES));
        fitting.find(|(_, at)| self.keeps_racks(*at, to)).copied()
    }

    /// The brokers that take partitions, the lightest first.
    fn by_load(&self) -> Vec<(u64, BrokerId)> {
        let takers = self.pans.iter().filter(|(_, pan)| pan.takes_partitions);
        let mut takers: Vec<_> = takers.map(|(broker, pan)| (pan.load, *broker)).collect();
        takers.sort_unstable();
        takers
    }

    fn shift(&mut self, from: BrokerId, to: BrokerId, item: (u64, TopicPartition)) -> Option<Move> {
        let (weight, at) = item;
        let partition = self.image.partition(at)?;
        let giver = self.pans.get_mut(&from)?;
        giver.movable.remove(&item);
        giver.load -= weight;
        self.pans.get_mut(&to)?.load += weight;
        let replicas = self.replicas_with(partition, to);
        let replicas = (replicas != *partition.replicas).then_some(replicas);
        Some(Move { partition: at, leader_epoch: partition.leader_epoch, to, replicas })
    }

    /// The replicas with `to` as the first. If it was none of them, it takes the owner's place; if the
    /// owner was none either, that of one that takes no partitions, or of the first.
    fn replicas_with(&self, partition: &Partition, to: BrokerId) -> Vec<BrokerId> {
        let old = &*partition.replicas;
        let leaves = if old.contains(&to) {
            to
        } else if old.contains(&partition.owner.broker) {
            partition.owner.broker
        } else {
            old.iter().copied().find(|one| !self.takes(*one)).or(old.first().copied()).unwrap_or(to)
        };
        let others = old.iter().copied().filter(|one| *one != leaves);
        std::iter::once(to).chain(others).collect()
    }

    /// Whether the replicas of a partition would lie in no fewer racks than now.
    fn keeps_racks(&self, at: TopicPartition, to: BrokerId) -> bool {
        let racks = |replicas: &[BrokerId]| {
            let racks = replicas.iter().filter_map(|one| self.image.broker(*one)?.rack.as_deref());
            racks.collect::<BTreeSet<_>>().len()
        };
        let Some(partition) = self.image.partition(at) else { return false };
        partition.replicas.contains(&to)
            || racks(&self.replicas_with(partition, to)) >= racks(&partition.replicas)
    }
}

/// What turns loads into weights.
struct Weights {
    bytes: u64,
    requests: u64,
    presence: u64,
}

impl Weights {
    fn new<'l>(loads: impl ExactSizeIterator<Item = &'l Load>) -> Self {
        let count = u64::try_from(loads.len()).unwrap_or(u64::MAX).max(1);
        let (mut bytes, mut requests) = (0_u64, 0_u64);
        for load in loads {
            bytes = bytes.saturating_add(load.bytes_per_s);
            requests = requests.saturating_add(load.requests_per_s);
        }
        Self { bytes, requests, presence: (PRESENCE / count).max(1) }
    }

    fn of(&self, load: &Load) -> u64 {
        share(load.bytes_per_s, self.bytes)
            + share(load.requests_per_s, self.requests)
            + self.presence
    }
}

/// The part of [`SHARE`] that `part` is of `whole`.
fn share(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * u128::from(SHARE) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX).min(SHARE)
}
