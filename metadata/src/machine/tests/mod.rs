//! The state machine, law by law and at random.

mod brokers;
mod chain_model;
mod coverage;
mod deletion;
mod draining;
mod flush;
mod hand_over;
mod merge;
mod properties;
mod reassignment;
mod size;
mod take_over;
mod targets;
mod topics;

use std::collections::BTreeMap;

use odradek_common::ids::{BrokerEpoch, BrokerId, GroupId, LeaderEpoch, TopicId, TopicPartition};

use super::Judged;
use crate::command::*;
use crate::ids::{DirectoryId, Incarnation};
use crate::image::{Image, Partition};
use crate::outcome::{Outcome, PartitionRefusal, Refusal};

/// An image and the index of the last entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) image: Image,
    pub(crate) index: u64,
}

impl World {
    /// A formed cluster.
    pub(crate) fn formed() -> Self {
        let mut world = Self::default();
        world.ok(Command::Form(form("cluster", 1)));
        world
    }

    /// A formed cluster with live brokers 1 and 2, and the topic `t` (id 1) with two partitions
    /// that broker 1 owns.
    pub(crate) fn busy() -> (Self, Incarnation, Incarnation) {
        let mut world = Self::formed();
        let one = world.register(1);
        let two = world.register(2);
        world.ok(create_topic("t", 1, &[&[1, 2], &[1, 2]]));
        (world, one, two)
    }

    pub(crate) fn apply(&mut self, command: Command) -> Judged {
        let before = self.image.clone();
        self.index += 1;
        let judged = self.image.apply_entry(self.index, &[command]).pop().unwrap();
        if judged.is_err() {
            let mut after = self.image.clone();
            after.applied = before.applied;
            assert_eq!(after, before, "a refused command left a trace");
        }
        judged
    }

    /// An entry without commands.
    fn pass(&mut self) {
        self.index += 1;
        self.image.apply_entry(self.index, &[]);
    }

    #[track_caller]
    pub(crate) fn ok(&mut self, command: Command) -> Outcome {
        self.apply(command).unwrap()
    }

    #[track_caller]
    fn refused(&mut self, command: Command) -> Refusal {
        self.apply(command).unwrap_err()
    }

    /// A new process of a broker, in place of the one that may be there.
    pub(crate) fn register(&mut self, broker: i32) -> Incarnation {
        let command = Command::RegisterBroker(self.replacing(broker_of(broker)));
        let Outcome::Registered { epoch } = self.ok(command) else { panic!("not registered") };
        Incarnation { broker: BrokerId(broker), epoch }
    }

    /// The registration, naming the epoch that is there.
    fn replacing(&self, broker: RegisterBroker) -> RegisterBroker {
        let replaces = self.image.broker(broker.broker).map(|former| former.incarnation.epoch);
        RegisterBroker { replaces, ..broker }
    }

    fn partition(&self, number: i32) -> &Partition {
        self.image.partition(partition(1, number)).unwrap()
    }

    /// Flushes `number` of topic 1 from its flushed end, by its owner, into `name`.
    #[track_caller]
    fn flush(&mut self, name: &str, number: i32, count: i64) {
        let flush = self.next_flush(name, number, count);
        assert_eq!(self.ok(Command::CommitFlush(flush)), Outcome::Flushed(vec![Ok(())]));
    }

    fn next_flush(&self, name: &str, number: i32, count: i64) -> CommitFlush {
        let state = self.partition(number);
        CommitFlush {
            // All marks of a name are the same, so that a second command of a round is possible.
            mark: self.image.index_object(name).map_or(self.index, |object| object.mark),
            by: state.owner,
            index_object: name.to_owned(),
            ranges: vec![FlushedRange {
                partition: partition(1, number),
                leader_epoch: state.leader_epoch,
                base_offset: state.flushed_end,
                next_offset: state.flushed_end + count,
            }],
        }
    }

    fn next_take_over(&self, to: Incarnation, number: i32, end: i64) -> TakeOver {
        let state = self.partition(number);
        TakeOver {
            mark: self.index,
            from: state.owner,
            to,
            index_object: Some("taken".to_owned()),
            items: vec![self.handed(number, end)],
        }
    }

    /// `number` of topic 1 is handed over by its owner, with all up to `end` durable.
    fn next_hand_over(&self, to: Incarnation, number: i32, end: i64) -> HandOver {
        HandOver {
            mark: self.index,
            by: self.partition(number).owner,
            to,
            index_object: Some("handed".to_owned()),
            items: vec![self.handed(number, end)],
        }
    }

    fn handed(&self, number: i32, end: i64) -> HandedPartition {
        let state = self.partition(number);
        HandedPartition {
            partition: partition(1, number),
            leader_epoch: state.leader_epoch,
            flushed_end: state.flushed_end,
            end,
        }
    }

    /// What became of the only partition of a handover.
    #[track_caller]
    fn handed_over(&mut self, hand_over: HandOver) -> Result<LeaderEpoch, PartitionRefusal> {
        match self.ok(Command::HandOver(hand_over)) {
            Outcome::HandedOver(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    /// What became of the only partition of a takeover.
    #[track_caller]
    fn taken_over(&mut self, take: TakeOver) -> Result<LeaderEpoch, PartitionRefusal> {
        match self.ok(Command::TakeOver(take)) {
            Outcome::TakenOver(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    fn set_target(&mut self, number: i32, target: Option<i32>) -> Result<(), PartitionRefusal> {
        let epoch = self.partition(number).leader_epoch;
        let items = vec![(partition(1, number), epoch, target.map(BrokerId))];
        match self.ok(Command::SetTargets(SetTargets { items })) {
            Outcome::TargetsSet(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    /// Reassigns `number` of topic 1; none takes it back.
    fn reassign(&mut self, number: i32, to: Option<&[i32]>) -> Result<(), PartitionRefusal> {
        let replicas = to.map(|brokers| replicas(&[brokers]).remove(0));
        let items = vec![(partition(1, number), replicas)];
        match self.ok(Command::AlterReplicas(AlterReplicas { items })) {
            Outcome::ReplicasAltered(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    fn drain(&mut self, broker: Incarnation) {
        let drain = SetDraining { broker, draining: true };
        assert_eq!(self.ok(Command::SetDraining(drain)), Outcome::DrainingSet);
    }
}

fn form(cluster: &str, directory: u128) -> Form {
    Form { cluster: cluster.parse().unwrap(), directories: vec![directory_id(directory)] }
}

fn directory_id(number: u128) -> DirectoryId {
    DirectoryId(uuid::Uuid::from_u128(number))
}

pub(crate) fn broker_of(broker: i32) -> RegisterBroker {
    RegisterBroker {
        broker: BrokerId(broker),
        directory: directory_id(1),
        rack: Some("rack".to_owned()),
        listeners: vec![Listener {
            name: "PLAINTEXT".to_owned(),
            host: "host".to_owned(),
            port: 9092,
            security: SecurityProtocol::Plaintext,
        }],
        wal: WalKind::Object,
        chains: 2,
        window: 16,
        replaces: None,
    }
}

pub(crate) fn topic(number: u128) -> TopicId {
    TopicId(uuid::Uuid::from_u128(number))
}

pub(crate) fn partition(of: u128, number: i32) -> TopicPartition {
    TopicPartition { topic: topic(of), partition: number }
}

pub(crate) fn create_topic(name: &str, id: u128, assignments: &[&[i32]]) -> Command {
    Command::CreateTopic(CreateTopic {
        name: name.to_owned(),
        id: topic(id),
        partitions: replicas(assignments),
        configs: BTreeMap::new(),
    })
}

fn replicas(assignments: &[&[i32]]) -> Vec<Vec<BrokerId>> {
    assignments.iter().map(|one| one.iter().map(|broker| BrokerId(*broker)).collect()).collect()
}
