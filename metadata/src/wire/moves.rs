//! Commands that move partitions, between their stored form and ours.

use odradek_common::ids::{BrokerId, LeaderEpoch, TopicPartition};
use prost::Message;

use super::DecodeError;
use super::convert::{incarnation, required};
use super::messages::{IncarnationRecord, PartitionItem, ReplicasRecord};
use crate::command::{AlterReplicas, HandOver, HandedPartition, SetTargets, TakeOver};

#[derive(Clone, PartialEq, Message)]
pub(super) struct TakeOverRecord {
    #[prost(uint64, tag = "1")]
    pub mark: u64,
    #[prost(message, optional, tag = "2")]
    pub from: Option<IncarnationRecord>,
    #[prost(message, optional, tag = "3")]
    pub to: Option<IncarnationRecord>,
    #[prost(string, optional, tag = "4")]
    pub index_object: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub items: Vec<PartitionItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HandOverRecord {
    #[prost(uint64, tag = "1")]
    pub mark: u64,
    #[prost(message, optional, tag = "2")]
    pub by: Option<IncarnationRecord>,
    #[prost(message, optional, tag = "3")]
    pub to: Option<IncarnationRecord>,
    #[prost(string, optional, tag = "4")]
    pub index_object: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub items: Vec<PartitionItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetTargetsRecord {
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<TargetRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TargetRecord {
    #[prost(message, optional, tag = "1")]
    pub at: Option<PartitionItem>,
    #[prost(int32, optional, tag = "2")]
    pub target: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AlterReplicasRecord {
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<AlteredReplicasRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AlteredReplicasRecord {
    #[prost(message, optional, tag = "1")]
    pub at: Option<PartitionItem>,
    #[prost(message, optional, tag = "2")]
    pub replicas: Option<ReplicasRecord>,
}

impl From<&HandedPartition> for PartitionItem {
    fn from(handed: &HandedPartition) -> Self {
        Self::new(handed.partition, handed.leader_epoch, handed.flushed_end, handed.end)
    }
}

impl From<&PartitionItem> for HandedPartition {
    fn from(item: &PartitionItem) -> Self {
        Self {
            partition: item.at(),
            leader_epoch: item.epoch(),
            flushed_end: item.from,
            end: item.to,
        }
    }
}

impl From<&TakeOver> for TakeOverRecord {
    fn from(take: &TakeOver) -> Self {
        Self {
            mark: take.mark,
            from: Some(take.from.into()),
            to: Some(take.to.into()),
            index_object: take.index_object.clone(),
            items: take.items.iter().map(PartitionItem::from).collect(),
        }
    }
}

impl TryFrom<TakeOverRecord> for TakeOver {
    type Error = DecodeError;

    fn try_from(record: TakeOverRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            mark: record.mark,
            from: incarnation(record.from)?,
            to: incarnation(record.to)?,
            index_object: record.index_object,
            items: record.items.iter().map(HandedPartition::from).collect(),
        })
    }
}

impl From<&HandOver> for HandOverRecord {
    fn from(hand: &HandOver) -> Self {
        Self {
            mark: hand.mark,
            by: Some(hand.by.into()),
            to: Some(hand.to.into()),
            index_object: hand.index_object.clone(),
            items: hand.items.iter().map(PartitionItem::from).collect(),
        }
    }
}

impl TryFrom<HandOverRecord> for HandOver {
    type Error = DecodeError;

    fn try_from(record: HandOverRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            mark: record.mark,
            by: incarnation(record.by)?,
            to: incarnation(record.to)?,
            index_object: record.index_object,
            items: record.items.iter().map(HandedPartition::from).collect(),
        })
    }
}

impl From<&SetTargets> for SetTargetsRecord {
    fn from(set: &SetTargets) -> Self {
        let item = |(at, epoch, target): &(TopicPartition, LeaderEpoch, Option<BrokerId>)| {
            let at = Some(PartitionItem::new(*at, *epoch, 0, 0));
            TargetRecord { at, target: target.map(|target| target.0) }
        };
        Self { items: set.items.iter().map(item).collect() }
    }
}

impl TryFrom<SetTargetsRecord> for SetTargets {
    type Error = DecodeError;

    fn try_from(record: SetTargetsRecord) -> Result<Self, DecodeError> {
        let item = |record: &TargetRecord| {
            let item = required(record.at, "a partition")?;
            Ok((item.at(), item.epoch(), record.target.map(BrokerId)))
        };
        Ok(Self { items: record.items.iter().map(item).collect::<Result<_, DecodeError>>()? })
    }
}

impl From<&AlterReplicas> for AlterReplicasRecord {
    fn from(alter: &AlterReplicas) -> Self {
        let item = |(at, replicas): &(TopicPartition, Option<Vec<BrokerId>>)| {
            let replicas = replicas.as_deref().map(ReplicasRecord::new);
            AlteredReplicasRecord { at: Some(PartitionItem::bare(*at)), replicas }
        };
        Self { items: alter.items.iter().map(item).collect() }
    }
}

impl TryFrom<AlterReplicasRecord> for AlterReplicas {
    type Error = DecodeError;

    fn try_from(record: AlterReplicasRecord) -> Result<Self, DecodeError> {
        let item = |record: AlteredReplicasRecord| {
            let at = required(record.at, "a partition")?.at();
            Ok((at, record.replicas.map(ReplicasRecord::brokers)))
        };
        Ok(Self { items: record.items.into_iter().map(item).collect::<Result<_, DecodeError>>()? })
    }
}
