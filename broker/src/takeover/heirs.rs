//! Who goes on with the partitions of a fenced broker.

use std::collections::BTreeMap;

use odradek_common::ids::BrokerId;
use odradek_metadata::image::Partition;
use odradek_metadata::{Image, Incarnation};

/// The brokers that may go on, with the partitions that each has.
#[derive(Debug)]
pub(super) struct Heirs {
    me: Incarnation,
    counts: BTreeMap<BrokerId, (Incarnation, usize)>,
}

impl Heirs {
    /// Those that take partitions; if there is none, the broker `me` that takes over.
    pub(super) fn new(image: &Image, me: Incarnation) -> Self {
        let takers = image.live_brokers().filter(|broker| broker.takes_partitions());
        let counts = takers.map(|broker| {
            let of = broker.incarnation;
            (of.broker, (of, image.owned_by(of).count()))
        });
        Self { me, counts: counts.collect() }
    }

    /// The next owner of a partition: its first replica that takes partitions, else the broker that
    /// has the fewest.
    pub(super) fn next(&mut self, partition: &Partition) -> Incarnation {
        let replica = partition.replicas.iter().find(|broker| self.counts.contains_key(broker));
        let fewest = || self.counts.iter().min_by_key(|(_, (_, count))| *count).map(|(of, _)| of);
        let Some(broker) = replica.or_else(fewest).copied() else { return self.me };
        match self.counts.get_mut(&broker) {
            Some((of, count)) => {
                *count += 1;
                *of
            }
            None => self.me,
        }
    }
}
