//! An image as bytes: records in a fixed order, so that equal images have equal bytes.

use std::sync::Arc;

use bytes::Buf;
use odradek_common::ids::{BrokerId, ChainId, GroupId, LeaderEpoch, SlotNumber};
use prost::Message;

use super::convert::{
    brokers_to_record, configs, configs_to_record, incarnation, required, topic_id,
};
use super::messages::{
    AcceptedRecord, BrokerConfigRecord, FormRecord, GroupRecord, HeadRecord, IndexObjectRecord,
    PartitionItem, PartitionRecord, RegisterBrokerRecord, RegistrationRecord, ReplicasRecord,
    SnapshotBody, SnapshotRecord, TopicRecord,
};
use super::{DecodeError, SNAPSHOT_VERSION, check_version};
use crate::command::{Form, RegisterBroker};
use crate::ids::Incarnation;
use crate::image::{
    Cluster, EpochStart, Group, Image, IndexObject, Map, Partition, Registration, Set, Topic,
    TopicState,
};

const WHAT: &str = "a metadata snapshot";

/// Writes an image down.
pub(crate) fn encode_snapshot(image: &Image) -> Vec<u8> {
    let mut out = Writer::default();
    out.put(SnapshotBody::Head(head(image)));
    for registration in image.registrations() {
        out.put(SnapshotBody::Registration(registration.into()));
    }
    for topic in image.topics() {
        out.put(SnapshotBody::Topic(topic.into()));
    }
    for (at, partition) in image.partitions() {
        let item = PartitionItem::new(
            at,
            partition.leader_epoch,
            partition.log_start,
            partition.flushed_end,
        );
        out.put(SnapshotBody::Partition(partition_record(item, partition)));
    }
    for (id, group) in image.groups() {
        out.put(SnapshotBody::Group(GroupRecord {
            id: id.0,
            manifest: group.manifest.as_deref().map(str::to_owned),
            version: group.version,
            partition_count: group.partition_count,
        }));
    }
    for (name, object) in image.index_objects() {
        out.put(SnapshotBody::IndexObject(index_object_record(name, object)));
    }
    for (broker, configs) in &image.broker_configs {
        let (broker, configs) = (broker.map(|broker| broker.0), configs_to_record(configs));
        out.put(SnapshotBody::BrokerConfig(BrokerConfigRecord { broker, configs }));
    }
    out.put(SnapshotBody::Tail(out.records));
    out.bytes
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    records: u64,
}

impl Writer {
    fn put(&mut self, body: SnapshotBody) {
        let record = SnapshotRecord { body: Some(body) }.encode_length_delimited_to_vec();
        self.bytes.extend_from_slice(&record);
        self.records += 1;
    }
}

/// Reads an image; the snapshot must be whole.
pub(crate) fn decode_snapshot(mut bytes: &[u8]) -> Result<Image, DecodeError> {
    let mut image = match next_body(&mut bytes)? {
        SnapshotBody::Head(head) => image_of_head(head)?,
        _ => return Err(DecodeError::damaged(WHAT, "it has no head")),
    };
    let mut records = 1;
    loop {
        match next_body(&mut bytes)? {
            SnapshotBody::Tail(count) if count == records && bytes.is_empty() => return Ok(image),
            SnapshotBody::Tail(_) => {
                return Err(DecodeError::damaged(WHAT, "it does not end where its tail stands"));
            }
            body => put(&mut image, body)?,
        }
        records += 1;
    }
}

fn next_body(bytes: &mut &[u8]) -> Result<SnapshotBody, DecodeError> {
    if !bytes.has_remaining() {
        return Err(DecodeError::damaged(WHAT, "it has no tail"));
    }
    let record = SnapshotRecord::decode_length_delimited(bytes)
        .map_err(|error| DecodeError::damaged(WHAT, error))?;
    required(record.body, "the body of a snapshot's record")
}

fn put(image: &mut Image, body: SnapshotBody) -> Result<(), DecodeError> {
    match body {
        SnapshotBody::Head(_) | SnapshotBody::Tail(_) => {
            return Err(DecodeError::damaged(WHAT, "it has two heads"));
        }
        SnapshotBody::Registration(record) => {
            let registration = Registration::try_from(record)?;
            image.registrations.insert_mut(registration.incarnation, Arc::new(registration));
        }
        SnapshotBody::Topic(record) => image.put_topic(record.try_into()?),
        SnapshotBody::Partition(record) => {
            let at = required(record.at, "a partition")?;
            let mut partition = partition(at, record)?;
            // Neighbours that were never moved share their history, as when they were made.
            if let Some((_, last)) = image.partitions.last()
                && last.leader_epochs == partition.leader_epochs
            {
                partition.leader_epochs = Arc::clone(&last.leader_epochs);
            }
            image.put_partition(at.at(), partition);
        }
        SnapshotBody::Group(record) => {
            let group = Group {
                manifest: record.manifest.map(Arc::from),
                version: record.version,
                partition_count: record.partition_count,
            };
            image.groups.insert_mut(GroupId(record.id), group);
        }
        SnapshotBody::IndexObject(record) => {
            image.index_objects.insert_mut(record.name.as_str().into(), index_object(record));
        }
        SnapshotBody::BrokerConfig(record) => {
            let configs = Arc::new(configs(record.configs));
            image.broker_configs.insert_mut(record.broker.map(BrokerId), configs);
        }
    }
    Ok(())
}

fn head(image: &Image) -> HeadRecord {
    let form = |cluster: &Cluster| {
        let (cluster, directories) = (cluster.id.clone(), cluster.directories.clone());
        FormRecord::from(&Form { cluster, directories })
    };
    HeadRecord {
        version: SNAPSHOT_VERSION,
        applied: image.applied,
        cluster: image.cluster().map(form),
        horizon: image.horizon,
        next_producer_id: image.next_producer_id,
        next_group: image.next_group,
    }
}

fn image_of_head(head: HeadRecord) -> Result<Image, DecodeError> {
    check_version(WHAT, head.version, SNAPSHOT_VERSION)?;
    let cluster = head.cluster.map(Form::try_from).transpose()?;
    let cluster =
        cluster.map(|form| Arc::new(Cluster { id: form.cluster, directories: form.directories }));
    Ok(Image {
        applied: head.applied,
        cluster,
        horizon: head.horizon,
        next_producer_id: head.next_producer_id,
        next_group: head.next_group,
        ..Image::default()
    })
}

impl From<&Registration> for RegistrationRecord {
    fn from(registration: &Registration) -> Self {
        let broker = RegisterBroker {
            broker: registration.incarnation.broker,
            directory: registration.directory,
            rack: registration.rack.clone(),
            listeners: registration.listeners.clone(),
            wal: registration.wal,
            chains: registration.chains(),
            window: registration.window,
            replaces: None,
        };
        Self {
            epoch: registration.incarnation.epoch.0,
            broker: Some(RegisterBrokerRecord::from(&broker)),
            trim_points: registration.trim_points.iter().map(|slot| slot.0).collect(),
            fenced_at: registration.fenced_at,
            recovered: registration.recovered,
            draining: registration.draining,
        }
    }
}

impl TryFrom<RegistrationRecord> for Registration {
    type Error = DecodeError;

    fn try_from(record: RegistrationRecord) -> Result<Self, DecodeError> {
        let broker: RegisterBroker = required(record.broker, "a registration")?.try_into()?;
        let epoch = odradek_common::ids::BrokerEpoch(record.epoch);
        Ok(Self {
            incarnation: Incarnation { broker: broker.broker, epoch },
            directory: broker.directory,
            rack: broker.rack,
            listeners: broker.listeners,
            wal: broker.wal,
            window: broker.window,
            trim_points: record.trim_points.into_iter().map(SlotNumber).collect(),
            fenced_at: record.fenced_at,
            recovered: record.recovered,
            draining: record.draining,
        })
    }
}

impl From<&Topic> for TopicRecord {
    fn from(topic: &Topic) -> Self {
        Self {
            id: Some(topic.id.0.into()),
            name: topic.name.to_string(),
            partition_count: topic.partition_count,
            configs: configs_to_record(&topic.configs),
            deleting: topic.state == TopicState::Deleting,
        }
    }
}

impl TryFrom<TopicRecord> for Topic {
    type Error = DecodeError;

    fn try_from(record: TopicRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            id: topic_id(record.id)?,
            name: record.name.into(),
            partition_count: record.partition_count,
            configs: Arc::new(configs(record.configs)),
            state: if record.deleting { TopicState::Deleting } else { TopicState::Live },
        })
    }
}

fn partition_record(at: PartitionItem, partition: &Partition) -> PartitionRecord {
    PartitionRecord {
        at: Some(at),
        owner: Some(partition.owner.into()),
        chain: partition.chain.0,
        group: partition.group.0,
        replicas: brokers_to_record(&partition.replicas),
        epochs: partition.leader_epochs.iter().map(|start| start.epoch.0).collect(),
        epoch_starts: partition.leader_epochs.iter().map(|start| start.start_offset).collect(),
        target: partition.target.map(|target| target.0),
        former_replicas: partition.former_replicas.as_deref().map(ReplicasRecord::new),
    }
}

fn partition(at: PartitionItem, record: PartitionRecord) -> Result<Partition, DecodeError> {
    if record.epochs.is_empty() || record.epochs.len() != record.epoch_starts.len() {
        return Err(DecodeError::missing("the history of leader epochs"));
    }
    let start = |(epoch, start_offset)| EpochStart { epoch: LeaderEpoch(epoch), start_offset };
    Ok(Partition {
        owner: incarnation(record.owner)?,
        chain: ChainId(record.chain),
        leader_epoch: at.epoch(),
        log_start: at.from,
        flushed_end: at.to,
        group: GroupId(record.group),
        replicas: record.replicas.into_iter().map(BrokerId).collect(),
        former_replicas: record.former_replicas.map(ReplicasRecord::brokers),
        target: record.target.map(BrokerId),
        leader_epochs: record.epochs.into_iter().zip(record.epoch_starts).map(start).collect(),
    })
}

fn index_object_record(name: &str, object: &IndexObject) -> IndexObjectRecord {
    let accepted = object.accepted.iter().map(|(group, partitions)| AcceptedRecord {
        group: group.0,
        partitions: partitions.iter().map(|at| PartitionItem::bare(*at)).collect(),
    });
    IndexObjectRecord { name: name.to_owned(), mark: object.mark, accepted: accepted.collect() }
}

fn index_object(record: IndexObjectRecord) -> IndexObject {
    let mut accepted = Map::default();
    for group in record.accepted {
        let partitions: Set<_> = group.partitions.iter().map(PartitionItem::at).collect();
        accepted.insert_mut(GroupId(group.group), partitions);
    }
    IndexObject { mark: record.mark, accepted }
}
