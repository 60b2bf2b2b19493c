//! What several tests of handlers need.

use odradek_common::ids::{BrokerEpoch, BrokerId, ChainId, GroupId, LeaderEpoch};
use odradek_metadata::Incarnation;
use odradek_metadata::image::{EpochStart, Partition};

/// An empty partition.
pub(super) fn partition(owner: i32, replicas: &[i32]) -> Partition {
    Partition {
        owner: Incarnation { broker: BrokerId(owner), epoch: BrokerEpoch(1) },
        chain: ChainId(0),
        leader_epoch: LeaderEpoch(0),
        log_start: 0,
        flushed_end: 0,
        group: GroupId(0),
        replicas: replicas.iter().map(|id| BrokerId(*id)).collect(),
        former_replicas: None,
        target: None,
        leader_epochs: [EpochStart { epoch: LeaderEpoch(0), start_offset: 0 }].into(),
    }
}
