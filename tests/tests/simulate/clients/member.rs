//! A member of a group (KIP-62's protocol): joins, reads what it is assigned and commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponse;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, OffsetCommitRequest, OffsetFetchRequest,
    SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use odradek_tests::history::{Event, Place, Reader};
use odradek_tests::wire::{Failed, Wire, name};
use tokio::time::Instant;

use super::{Common, TOPIC, places};

const GROUP: &str = "group";
const SESSION_MS: i32 = 6_000;
/// How the assignment is made: by whoever leads, a byte for each partition.
const PROTOCOL: &str = "bytes";
const COMMIT_EVERY: Duration = Duration::from_millis(400);

/// Kafka's codes for a member that is not known, and for one that has to join by the id it is given.
const UNKNOWN_MEMBER_ID: i16 = 25;
const MEMBER_ID_REQUIRED: i16 = 79;

/// One membership, up to the next rebalance.
struct Membership {
    wire: Wire,
    member: StrBytes,
    generation: i32,
}

struct Assigned {
    pass: u64,
    position: i64,
    committed: i64,
    wire: Option<Wire>,
}

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str(GROUP))
}

/// Is a member until the group has committed the ends of all logs.
pub async fn belong(common: Arc<Common>) {
    let mut member = StrBytes::default();
    while !common.group_is_done() {
        let failed = match common.join(&mut member).await {
            Ok((membership, partitions)) => common.consume(membership, &partitions).await,
            Err(failed) => Err(failed),
        };
        if let Err(failed) = failed {
            if matches!(failed, Failed::Code(UNKNOWN_MEMBER_ID)) {
                member = StrBytes::default();
            }
            if !matches!(failed, Failed::Code(MEMBER_ID_REQUIRED)) {
                common.bear(&failed).await;
            }
        }
    }
}

impl Common {
    fn group_is_done(&self) -> bool {
        let committed = self.committed.lock();
        let at = |place: &Place| committed.get(place).copied().unwrap_or(0);
        self.ends.lock().as_ref().is_some_and(|ends| ends.iter().all(|(p, end)| at(p) >= *end))
    }

    /// Joins the group and learns what is assigned.
    async fn join(&self, member: &mut StrBytes) -> Result<(Membership, Vec<u8>), Failed> {
        let mut wire = self.coordinator(GROUP).await?;
        let protocol =
            JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str(PROTOCOL));
        let request = JoinGroupRequest::default()
            .with_group_id(group())
            .with_session_timeout_ms(SESSION_MS)
            .with_rebalance_timeout_ms(SESSION_MS)
            .with_member_id(member.clone())
            .with_protocol_type(StrBytes::from_static_str("simulated"))
            .with_protocols(vec![protocol]);
        let joined = self.call(&mut wire, &request, 5).await?;
        if matches!(joined.error_code, 0 | MEMBER_ID_REQUIRED) {
            member.clone_from(&joined.member_id);
        }
        Failed::check(joined.error_code)?;
        let request = SyncGroupRequest::default()
            .with_group_id(group())
            .with_generation_id(joined.generation_id)
            .with_member_id(member.clone())
            .with_assignments(assignments(&joined));
        let synced = self.call(&mut wire, &request, 3).await?;
        Failed::check(synced.error_code)?;
        self.notes.count("generation of a group");
        let generation = joined.generation_id;
        Ok((Membership { wire, member: member.clone(), generation }, synced.assignment.to_vec()))
    }

    /// Reads and commits until something makes it join anew.
    async fn consume(&self, mut of: Membership, partitions: &[u8]) -> Result<(), Failed> {
        let mut assigned = BTreeMap::new();
        for place in
            places().filter(|place| partitions.iter().any(|p| i32::from(*p) == place.partition))
        {
            let pass = self.notes.unique();
            self.notes.note(Event::PassBegan { pass, place, reader: Reader::Group });
            let committed = self.committed_offset(&mut of.wire, place).await?.unwrap_or(0);
            self.committed.lock().insert(place, committed);
            assigned.insert(place, Assigned { pass, position: committed, committed, wire: None });
        }
        let mut due = Instant::now() + COMMIT_EVERY;
        while !self.group_is_done() {
            if assigned.is_empty() {
                tokio::time::sleep(COMMIT_EVERY).await;
            }
            for (place, one) in &mut assigned {
                match self.read(&mut one.wire, one.pass, *place, one.position).await {
                    Ok(next) => one.position = next,
                    Err(failed) => {
                        one.wire = None;
                        self.bear(&failed).await;
                    }
                }
            }
            if Instant::now() >= due {
                self.commit(&mut of, &mut assigned).await?;
                self.heartbeat(&mut of).await?;
                due = Instant::now() + COMMIT_EVERY;
            }
        }
        Ok(())
    }

    async fn heartbeat(&self, of: &mut Membership) -> Result<(), Failed> {
        let request = HeartbeatRequest::default()
            .with_group_id(group())
            .with_generation_id(of.generation)
            .with_member_id(of.member.clone());
        Failed::check(self.call(&mut of.wire, &request, 3).await?.error_code)
    }

    async fn commit(
        &self,
        of: &mut Membership,
        assigned: &mut BTreeMap<Place, Assigned>,
    ) -> Result<(), Failed> {
        let moved: Vec<(Place, i64)> = assigned
            .iter()
            .filter(|(_, one)| one.position > one.committed)
            .map(|(place, one)| (*place, one.position))
            .collect();
        if moved.is_empty() {
            return Ok(());
        }
        let partition = |(place, offset): &(Place, i64)| {
            self.notes.note(Event::CommitSent { place: *place, offset: *offset });
            OffsetCommitRequestPartition::default()
                .with_partition_index(place.partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(StrBytes::default()))
        };
        let partitions = moved.iter().map(partition).collect();
        let topic =
            OffsetCommitRequestTopic::default().with_name(name(TOPIC)).with_partitions(partitions);
        let request = OffsetCommitRequest::default()
            .with_group_id(group())
            .with_generation_id_or_member_epoch(of.generation)
            .with_member_id(of.member.clone())
            .with_topics(vec![topic]);
        let answer = self.call(&mut of.wire, &request, 7).await?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            Failed::check(partition.error_code)?;
        }
        for (place, offset) in moved {
            self.notes.note(Event::Committed { place, offset });
            self.committed.lock().insert(place, offset);
            if let Some(one) = assigned.get_mut(&place) {
                one.committed = offset;
            }
        }
        Ok(())
    }

    /// What the group has committed for a partition.
    async fn committed_offset(&self, wire: &mut Wire, place: Place) -> Result<Option<i64>, Failed> {
        let ask = self.notes.unique();
        self.notes.note(Event::OffsetAsked { ask, place });
        let topic = OffsetFetchRequestTopic::default()
            .with_name(name(TOPIC))
            .with_partition_indexes(vec![place.partition]);
        let request =
            OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic]));
        let answer = self.call(wire, &request, 7).await?;
        Failed::check(answer.error_code)?;
        let mut found = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let found = found.next().ok_or_else(|| Failed::Malformed("no partition".to_owned()))?;
        Failed::check(found.error_code)?;
        let offset = (found.committed_offset >= 0).then_some(found.committed_offset);
        self.notes.note(Event::OffsetAnswered { ask, offset });
        Ok(offset)
    }

    /// Asks once more what the group has committed.
    pub async fn ask_group(&self, place: Place) -> Result<(), Failed> {
        let mut wire = self.coordinator(GROUP).await?;
        self.committed_offset(&mut wire, place).await.map(|_| ())
    }
}

/// What the leader assigns: each partition to the next member.
fn assignments(joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
    let count = joined.members.len();
    let partitions = |member: usize| -> Vec<u8> {
        let all = places().filter_map(|place| u8::try_from(place.partition).ok());
        all.filter(|partition| usize::from(*partition) % count == member).collect()
    };
    let assign = |(number, member): (
        usize,
        &kafka_protocol::messages::join_group_response::JoinGroupResponseMember,
    )| {
        SyncGroupRequestAssignment::default()
            .with_member_id(member.member_id.clone())
            .with_assignment(partitions(number).into())
    };
    joined.members.iter().enumerate().map(assign).collect()
}
