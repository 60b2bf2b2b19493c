//! Commands between their stored form and ours.

use odradek_common::ids::{BrokerId, ChainId, GroupId, SlotNumber, TopicId};

use super::DecodeError;
use super::convert::{
    configs, configs_to_record, incarnation, replicas, replicas_to_record, required, topic_id,
};
use super::messages::{
    AllocateProducerIdsRecord, AlterBrokerConfigRecord, AlterTopicConfigRecord, CommandBody,
    CommitFlushRecord, ConfigChangeRecord, ConfigEditRecord, CreatePartitionsRecord,
    CreateTopicRecord, MergeRecord, PartitionItem, ReleasePartitionsRecord, SetDrainingRecord,
    SetLogStartRecord, TakenRecord, TrimRecord,
};
use crate::command::{
    AllocateProducerIds, AlterBrokerConfig, AlterTopicConfig, Command, CommitFlush, ConfigChange,
    ConfigEdit, CreatePartitions, CreateTopic, FlushedRange, LogStart, Merge, ReleasePartitions,
    SetDraining, SetLogStart, Trim,
};

impl From<&Command> for CommandBody {
    fn from(command: &Command) -> Self {
        match command {
            Command::Form(form) => Self::Form(form.into()),
            Command::RegisterBroker(broker) => Self::RegisterBroker(broker.into()),
            Command::FenceBroker(of) => Self::FenceBroker((*of).into()),
            Command::Trim(trim) => Self::Trim(trim.into()),
            Command::MarkRecovered(of) => Self::MarkRecovered((*of).into()),
            Command::CreateTopic(create) => Self::CreateTopic(create.into()),
            Command::CreatePartitions(create) => Self::CreatePartitions(create.into()),
            Command::DeleteTopic(topic) => Self::DeleteTopic(topic.0.into()),
            Command::ReleasePartitions(release) => Self::ReleasePartitions(release.into()),
            Command::AlterTopicConfig(alter) => Self::AlterTopicConfig(AlterTopicConfigRecord {
                topic: Some(alter.topic.0.into()),
                change: Some((&alter.change).into()),
            }),
            Command::AlterBrokerConfig(alter) => Self::AlterBrokerConfig(AlterBrokerConfigRecord {
                broker: alter.broker.map(|broker| broker.0),
                change: Some((&alter.change).into()),
            }),
            Command::AllocateProducerIds(allocate) => {
                let (by, count) = (Some(allocate.by.into()), allocate.count);
                Self::AllocateProducerIds(AllocateProducerIdsRecord { by, count })
            }
            Command::CommitFlush(flush) => Self::CommitFlush(flush.into()),
            Command::TakeOver(take) => Self::TakeOver(take.into()),
            Command::Merge(merge) => Self::Merge(merge.into()),
            Command::SetLogStart(set) => Self::SetLogStart(set.into()),
            Command::HandOver(hand_over) => Self::HandOver(hand_over.into()),
            Command::SetTargets(set) => Self::SetTargets(set.into()),
            Command::AlterReplicas(alter) => Self::AlterReplicas(alter.into()),
            Command::SetDraining(set) => {
                let (broker, draining) = (Some(set.broker.into()), set.draining);
                Self::SetDraining(SetDrainingRecord { broker, draining })
            }
            Command::UnregisterBroker(broker) => Self::UnregisterBroker(broker.0),
            Command::SetHorizon(horizon) => Self::SetHorizon(*horizon),
        }
    }
}

impl TryFrom<CommandBody> for Command {
    type Error = DecodeError;

    fn try_from(body: CommandBody) -> Result<Self, DecodeError> {
        Ok(match body {
            CommandBody::Form(form) => Self::Form(form.try_into()?),
            CommandBody::RegisterBroker(broker) => Self::RegisterBroker(broker.try_into()?),
            CommandBody::FenceBroker(of) => Self::FenceBroker(of.into()),
            CommandBody::Trim(trim) => Self::Trim(trim.try_into()?),
            CommandBody::MarkRecovered(of) => Self::MarkRecovered(of.into()),
            CommandBody::CreateTopic(create) => Self::CreateTopic(create.try_into()?),
            CommandBody::CreatePartitions(create) => Self::CreatePartitions(create.try_into()?),
            CommandBody::DeleteTopic(topic) => Self::DeleteTopic(TopicId(topic.uuid())),
            CommandBody::ReleasePartitions(release) => Self::ReleasePartitions(release.try_into()?),
            CommandBody::AlterTopicConfig(alter) => Self::AlterTopicConfig(AlterTopicConfig {
                topic: topic_id(alter.topic)?,
                change: required(alter.change, "a change of settings")?.try_into()?,
            }),
            CommandBody::AlterBrokerConfig(alter) => Self::AlterBrokerConfig(AlterBrokerConfig {
                broker: alter.broker.map(BrokerId),
                change: required(alter.change, "a change of settings")?.try_into()?,
            }),
            CommandBody::AllocateProducerIds(allocate) => {
                let (by, count) = (incarnation(allocate.by)?, allocate.count);
                Self::AllocateProducerIds(AllocateProducerIds { by, count })
            }
            CommandBody::CommitFlush(flush) => Self::CommitFlush(flush.try_into()?),
            CommandBody::TakeOver(take) => Self::TakeOver(take.try_into()?),
            CommandBody::Merge(merge) => Self::Merge(merge.into()),
            CommandBody::SetLogStart(set) => Self::SetLogStart(set.try_into()?),
            CommandBody::HandOver(hand_over) => Self::HandOver(hand_over.try_into()?),
            CommandBody::SetTargets(set) => Self::SetTargets(set.try_into()?),
            CommandBody::AlterReplicas(alter) => Self::AlterReplicas(alter.try_into()?),
            CommandBody::SetDraining(set) => {
                let (broker, draining) = (incarnation(set.broker)?, set.draining);
                Self::SetDraining(SetDraining { broker, draining })
            }
            CommandBody::UnregisterBroker(broker) => Self::UnregisterBroker(BrokerId(broker)),
            CommandBody::SetHorizon(horizon) => Self::SetHorizon(horizon),
        })
    }
}

impl From<&Trim> for TrimRecord {
    fn from(trim: &Trim) -> Self {
        Self { by: Some(trim.by.into()), chain: trim.chain.0, slot: trim.slot.0 }
    }
}

impl TryFrom<TrimRecord> for Trim {
    type Error = DecodeError;

    fn try_from(record: TrimRecord) -> Result<Self, DecodeError> {
        let (chain, slot) = (ChainId(record.chain), SlotNumber(record.slot));
        Ok(Self { by: incarnation(record.by)?, chain, slot })
    }
}

impl From<&CreateTopic> for CreateTopicRecord {
    fn from(create: &CreateTopic) -> Self {
        Self {
            name: create.name.clone(),
            id: Some(create.id.0.into()),
            partitions: replicas_to_record(&create.partitions),
            configs: configs_to_record(&create.configs),
        }
    }
}

impl TryFrom<CreateTopicRecord> for CreateTopic {
    type Error = DecodeError;

    fn try_from(record: CreateTopicRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            name: record.name,
            id: topic_id(record.id)?,
            partitions: replicas(record.partitions),
            configs: configs(record.configs),
        })
    }
}

impl From<&CreatePartitions> for CreatePartitionsRecord {
    fn from(create: &CreatePartitions) -> Self {
        Self {
            topic: Some(create.topic.0.into()),
            from_count: create.from_count,
            partitions: replicas_to_record(&create.partitions),
        }
    }
}

impl TryFrom<CreatePartitionsRecord> for CreatePartitions {
    type Error = DecodeError;

    fn try_from(record: CreatePartitionsRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            topic: topic_id(record.topic)?,
            from_count: record.from_count,
            partitions: replicas(record.partitions),
        })
    }
}

impl From<&ReleasePartitions> for ReleasePartitionsRecord {
    fn from(release: &ReleasePartitions) -> Self {
        let item = |(at, epoch): &(_, _)| PartitionItem::new(*at, *epoch, 0, 0);
        let partitions = release.partitions.iter().map(item).collect();
        Self { by: Some(release.by.into()), partitions }
    }
}

impl TryFrom<ReleasePartitionsRecord> for ReleasePartitions {
    type Error = DecodeError;

    fn try_from(record: ReleasePartitionsRecord) -> Result<Self, DecodeError> {
        let partitions = record.partitions.iter().map(|item| (item.at(), item.epoch())).collect();
        Ok(Self { by: incarnation(record.by)?, partitions })
    }
}

impl From<&ConfigChange> for ConfigChangeRecord {
    fn from(change: &ConfigChange) -> Self {
        match change {
            ConfigChange::Replace(configs) => {
                Self { replace: true, configs: configs_to_record(configs), edits: Vec::new() }
            }
            ConfigChange::Edit(edits) => {
                let edits = edits.iter().map(ConfigEditRecord::from).collect();
                Self { replace: false, configs: Vec::new(), edits }
            }
        }
    }
}

impl TryFrom<ConfigChangeRecord> for ConfigChange {
    type Error = DecodeError;

    fn try_from(record: ConfigChangeRecord) -> Result<Self, DecodeError> {
        if record.replace {
            return Ok(Self::Replace(configs(record.configs)));
        }
        let edits = record.edits.into_iter().map(ConfigEdit::try_from);
        Ok(Self::Edit(edits.collect::<Result<_, _>>()?))
    }
}

impl From<&ConfigEdit> for ConfigEditRecord {
    fn from(edit: &ConfigEdit) -> Self {
        let (kind, key, value, default) = match edit {
            ConfigEdit::Set { key, value } => (1, key, value.as_str(), ""),
            ConfigEdit::Delete { key } => (2, key, "", ""),
            ConfigEdit::Append { key, items, default } => (3, key, items.as_str(), &**default),
            ConfigEdit::Subtract { key, items, default } => (4, key, items.as_str(), &**default),
        };
        Self { kind, key: key.clone(), value: value.to_owned(), default: default.to_owned() }
    }
}

impl TryFrom<ConfigEditRecord> for ConfigEdit {
    type Error = DecodeError;

    fn try_from(record: ConfigEditRecord) -> Result<Self, DecodeError> {
        let ConfigEditRecord { kind, key, value, default } = record;
        Ok(match kind {
            1 => Self::Set { key, value },
            2 => Self::Delete { key },
            3 => Self::Append { key, items: value, default },
            4 => Self::Subtract { key, items: value, default },
            _ => return Err(DecodeError::missing("the kind of an edit")),
        })
    }
}

impl From<&CommitFlush> for CommitFlushRecord {
    fn from(flush: &CommitFlush) -> Self {
        let item = |range: &FlushedRange| {
            let FlushedRange { partition, leader_epoch, base_offset, next_offset } = *range;
            PartitionItem::new(partition, leader_epoch, base_offset, next_offset)
        };
        Self {
            mark: flush.mark,
            by: Some(flush.by.into()),
            index_object: flush.index_object.clone(),
            ranges: flush.ranges.iter().map(item).collect(),
        }
    }
}

impl TryFrom<CommitFlushRecord> for CommitFlush {
    type Error = DecodeError;

    fn try_from(record: CommitFlushRecord) -> Result<Self, DecodeError> {
        let range = |item: &PartitionItem| FlushedRange {
            partition: item.at(),
            leader_epoch: item.epoch(),
            base_offset: item.from,
            next_offset: item.to,
        };
        Ok(Self {
            mark: record.mark,
            by: incarnation(record.by)?,
            index_object: record.index_object,
            ranges: record.ranges.iter().map(range).collect(),
        })
    }
}

impl From<&Merge> for MergeRecord {
    fn from(merge: &Merge) -> Self {
        let taken = |(name, partitions): &(String, Vec<_>)| TakenRecord {
            index_object: name.clone(),
            partitions: partitions.iter().map(|at| PartitionItem::bare(*at)).collect(),
        };
        Self {
            mark: merge.mark,
            group: merge.group.0,
            expected_version: merge.expected_version,
            manifest: merge.manifest.clone(),
            taken: merge.taken.iter().map(taken).collect(),
        }
    }
}

impl From<MergeRecord> for Merge {
    fn from(record: MergeRecord) -> Self {
        let taken = |taken: TakenRecord| {
            let partitions = taken.partitions.iter().map(PartitionItem::at).collect();
            (taken.index_object, partitions)
        };
        Self {
            mark: record.mark,
            group: GroupId(record.group),
            expected_version: record.expected_version,
            manifest: record.manifest,
            taken: record.taken.into_iter().map(taken).collect(),
        }
    }
}

impl From<&SetLogStart> for SetLogStartRecord {
    fn from(set: &SetLogStart) -> Self {
        let item =
            |one: &LogStart| PartitionItem::new(one.partition, one.leader_epoch, one.log_start, 0);
        Self { by: Some(set.by.into()), items: set.items.iter().map(item).collect() }
    }
}

impl TryFrom<SetLogStartRecord> for SetLogStart {
    type Error = DecodeError;

    fn try_from(record: SetLogStartRecord) -> Result<Self, DecodeError> {
        let one = |item: &PartitionItem| LogStart {
            partition: item.at(),
            leader_epoch: item.epoch(),
            log_start: item.from,
        };
        Ok(Self { by: incarnation(record.by)?, items: record.items.iter().map(one).collect() })
    }
}
