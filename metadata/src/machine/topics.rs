//! Topics come, grow and go.

use std::sync::Arc;

use odradek_common::ids::TopicId;
use odradek_common::limits::METADATA_ITEMS;

use super::configs::check_configs;
use super::names::check_topic_name;
use super::{Judged, check_limit};
use crate::command::{CreatePartitions, CreateTopic, ReleasePartitions};
use crate::image::{Image, Topic, TopicState, collision_key};
use crate::outcome::{Outcome, PartitionRefusal, Refusal};

impl Image {
    pub(super) fn create_topic(&mut self, create: &CreateTopic) -> Judged {
        check_topic_name(&create.name)?;
        check_configs(&create.configs)?;
        self.check_topic_is_new(create)?;
        self.add_partitions(create.id, 0, &create.partitions)?;
        let topic = Topic {
            id: create.id,
            name: create.name.as_str().into(),
            partition_count: i32::try_from(create.partitions.len()).unwrap_or(i32::MAX),
            configs: Arc::new(create.configs.clone()),
            state: TopicState::Live,
        };
        self.put_topic(topic);
        Ok(Outcome::TopicCreated)
    }

    fn check_topic_is_new(&self, create: &CreateTopic) -> Result<(), Refusal> {
        if create.id == TopicId::NIL {
            return Err(Refusal::Empty("the topic's id"));
        }
        if self.topic(create.id).is_some() {
            return Err(Refusal::TopicIdTaken(create.id));
        }
        let name = create.name.clone();
        match self.topic_that_collides(&name) {
            None => Ok(()),
            Some(there) if *there.name == *name => {
                Err(Refusal::TopicExists { name, deleting: there.state == TopicState::Deleting })
            }
            Some(there) => Err(Refusal::TopicNameCollides { name, with: there.name.to_string() }),
        }
    }

    pub(super) fn create_partitions(&mut self, create: &CreatePartitions) -> Judged {
        let mut topic = self.live_topic(create.topic)?.clone();
        if topic.partition_count != create.from_count {
            return Err(Refusal::PartitionCount { count: topic.partition_count });
        }
        self.add_partitions(topic.id, topic.partition_count, &create.partitions)?;
        let added = i32::try_from(create.partitions.len()).unwrap_or(i32::MAX);
        topic.partition_count = topic.partition_count.saturating_add(added);
        self.put_topic(topic);
        Ok(Outcome::PartitionsCreated)
    }

    pub(super) fn delete_topic(&mut self, id: TopicId) -> Judged {
        let mut topic = self.live_topic(id)?.clone();
        topic.state = TopicState::Deleting;
        self.put_topic(topic);
        Ok(Outcome::DeletionBegun)
    }

    /// Law 3.2: the owner's consent. A fenced incarnation has no word any more; whoever takes over
    /// from it has.
    pub(super) fn release_partitions(&mut self, release: &ReleasePartitions) -> Judged {
        check_limit("partitions of a command", release.partitions.len(), METADATA_ITEMS)?;
        self.live(release.by)?;
        let mut results = Vec::with_capacity(release.partitions.len());
        for (at, epoch) in &release.partitions {
            let checked = match self.partition(*at) {
                None => Err(PartitionRefusal::Unknown),
                Some(_) if !self.is_being_deleted(at.topic) => {
                    Err(PartitionRefusal::NotBeingDeleted)
                }
                Some(partition) => partition.check_held(release.by, *epoch),
            };
            if checked.is_ok() {
                self.remove_partition(*at);
            }
            results.push(checked);
        }
        Ok(Outcome::Released(results))
    }

    pub(super) fn live_topic(&self, id: TopicId) -> Result<&Topic, Refusal> {
        let topic = self.topic(id).ok_or(Refusal::UnknownTopic(id))?;
        match topic.state {
            TopicState::Live => Ok(topic),
            TopicState::Deleting => Err(Refusal::TopicBeingDeleted(id)),
        }
    }

    /// Puts a topic in place of what stood there, and its name into the list of names.
    pub(crate) fn put_topic(&mut self, topic: Topic) {
        self.names.insert_mut(collision_key(&topic.name).into(), topic.id);
        self.topics.insert_mut(topic.id, Arc::new(topic));
    }

    pub(super) fn remove_topic(&mut self, id: TopicId) {
        if let Some(topic) = self.topics.get(&id) {
            self.names.remove_mut(collision_key(&topic.name).as_str());
            self.topics.remove_mut(&id);
        }
    }
}
