//! Small values between their stored form and ours.

use std::collections::BTreeMap;

use odradek_common::ids::{BrokerEpoch, BrokerId, LeaderEpoch, TopicId, TopicPartition};
use uuid::Uuid;

use super::DecodeError;
use super::messages::{
    ConfigRecord, FormRecord, IncarnationRecord, ListenerRecord, PartitionItem,
    RegisterBrokerRecord, ReplicasRecord, UuidRecord,
};
use crate::command::{Form, Listener, RegisterBroker, SecurityProtocol, WalKind};
use crate::ids::{DirectoryId, Incarnation};

/// A message that must be there.
pub(super) fn required<T>(field: Option<T>, name: &'static str) -> Result<T, DecodeError> {
    field.ok_or(DecodeError::missing(name))
}

impl From<Uuid> for UuidRecord {
    fn from(id: Uuid) -> Self {
        let (high, low) = id.as_u64_pair();
        Self { high, low }
    }
}

impl UuidRecord {
    pub(super) fn uuid(self) -> Uuid {
        Uuid::from_u64_pair(self.high, self.low)
    }
}

pub(super) fn topic_id(record: Option<UuidRecord>) -> Result<TopicId, DecodeError> {
    Ok(TopicId(required(record, "a topic id")?.uuid()))
}

impl From<Incarnation> for IncarnationRecord {
    fn from(of: Incarnation) -> Self {
        Self { broker: of.broker.0, epoch: of.epoch.0 }
    }
}

impl From<IncarnationRecord> for Incarnation {
    fn from(record: IncarnationRecord) -> Self {
        Self { broker: BrokerId(record.broker), epoch: BrokerEpoch(record.epoch) }
    }
}

pub(super) fn incarnation(record: Option<IncarnationRecord>) -> Result<Incarnation, DecodeError> {
    Ok(required(record, "an incarnation")?.into())
}

impl PartitionItem {
    pub(super) fn new(at: TopicPartition, epoch: LeaderEpoch, from: i64, to: i64) -> Self {
        let (topic_high, topic_low) = at.topic.0.as_u64_pair();
        let (partition, leader_epoch) = (at.partition, epoch.0);
        Self { topic_high, topic_low, partition, leader_epoch, from, to }
    }

    pub(super) fn bare(at: TopicPartition) -> Self {
        Self::new(at, LeaderEpoch(0), 0, 0)
    }

    pub(super) fn at(&self) -> TopicPartition {
        let topic = TopicId(Uuid::from_u64_pair(self.topic_high, self.topic_low));
        TopicPartition { topic, partition: self.partition }
    }

    pub(super) fn epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch)
    }
}

pub(super) fn brokers_to_record(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}

pub(super) fn replicas_to_record(partitions: &[Vec<BrokerId>]) -> Vec<ReplicasRecord> {
    partitions.iter().map(|replicas| ReplicasRecord::new(replicas)).collect()
}

pub(super) fn replicas(records: Vec<ReplicasRecord>) -> Vec<Vec<BrokerId>> {
    records.into_iter().map(ReplicasRecord::brokers).collect()
}

impl ReplicasRecord {
    pub(super) fn new(replicas: &[BrokerId]) -> Self {
        Self { brokers: brokers_to_record(replicas) }
    }

    pub(super) fn brokers<T: FromIterator<BrokerId>>(self) -> T {
        self.brokers.into_iter().map(BrokerId).collect()
    }
}

pub(super) fn configs_to_record(configs: &BTreeMap<String, String>) -> Vec<ConfigRecord> {
    let record =
        |(key, value): (&String, &String)| ConfigRecord { key: key.clone(), value: value.clone() };
    configs.iter().map(record).collect()
}

pub(super) fn configs(records: Vec<ConfigRecord>) -> BTreeMap<String, String> {
    records.into_iter().map(|record| (record.key, record.value)).collect()
}

impl From<&Form> for FormRecord {
    fn from(form: &Form) -> Self {
        let directories = form.directories.iter().map(|id| id.0.into()).collect();
        Self { cluster: form.cluster.to_string(), directories }
    }
}

impl TryFrom<FormRecord> for Form {
    type Error = DecodeError;

    fn try_from(record: FormRecord) -> Result<Self, DecodeError> {
        let cluster =
            record.cluster.parse().map_err(|error| DecodeError::damaged("a cluster id", error))?;
        let directories = record.directories.into_iter().map(|id| DirectoryId(id.uuid())).collect();
        Ok(Self { cluster, directories })
    }
}

impl From<&RegisterBroker> for RegisterBrokerRecord {
    fn from(broker: &RegisterBroker) -> Self {
        Self {
            broker: broker.broker.0,
            directory: Some(broker.directory.0.into()),
            rack: broker.rack.clone(),
            listeners: broker.listeners.iter().map(ListenerRecord::from).collect(),
            wal: match broker.wal {
                WalKind::Object => 1,
                WalKind::Disk => 2,
            },
            chains: broker.chains,
            window: broker.window,
            replaces: broker.replaces.map(|epoch| epoch.0),
        }
    }
}

impl TryFrom<RegisterBrokerRecord> for RegisterBroker {
    type Error = DecodeError;

    fn try_from(record: RegisterBrokerRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            broker: BrokerId(record.broker),
            directory: DirectoryId(required(record.directory, "a directory id")?.uuid()),
            rack: record.rack,
            listeners: record
                .listeners
                .into_iter()
                .map(Listener::try_from)
                .collect::<Result<_, _>>()?,
            wal: match record.wal {
                1 => WalKind::Object,
                2 => WalKind::Disk,
                _ => return Err(DecodeError::missing("the kind of WAL")),
            },
            chains: record.chains,
            window: record.window,
            replaces: record.replaces.map(BrokerEpoch),
        })
    }
}

impl From<&Listener> for ListenerRecord {
    fn from(listener: &Listener) -> Self {
        Self {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: u32::from(listener.port),
            security: match listener.security {
                SecurityProtocol::Plaintext => 0,
                SecurityProtocol::Ssl => 1,
                SecurityProtocol::SaslPlaintext => 2,
                SecurityProtocol::SaslSsl => 3,
            },
        }
    }
}

impl TryFrom<ListenerRecord> for Listener {
    type Error = DecodeError;

    fn try_from(record: ListenerRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            name: record.name,
            host: record.host,
            port: u16::try_from(record.port).map_err(|_| DecodeError::missing("a port"))?,
            security: match record.security {
                0 => SecurityProtocol::Plaintext,
                1 => SecurityProtocol::Ssl,
                2 => SecurityProtocol::SaslPlaintext,
                3 => SecurityProtocol::SaslSsl,
                _ => return Err(DecodeError::missing("a security protocol")),
            },
        })
    }
}
