//! Groups that want too much.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest,
};
use odradek_tests::wait::within;
use tokio::task::JoinSet;

use super::answers::{WIDE_TOPIC, wide};
use crate::target::Target;
use crate::wire::{Outcome, Peer, framed, name, text};

const OFFSET_METADATA_TOO_LARGE: i16 = 12;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;

/// Waits until a group's coordinator serves it: the first group of all has its topic made.
pub async fn find_coordinator(peer: &mut Peer, group: &str) -> Result<()> {
    within(Duration::from_secs(20), "the coordinator is there", async || {
        let request = FindCoordinatorRequest::default().with_key(text(group));
        match peer.call(&request, 2).await?.error_code {
            0 => Ok(true),
            COORDINATOR_NOT_AVAILABLE | COORDINATOR_LOAD_IN_PROGRESS => Ok(false),
            code => bail!("FindCoordinator: {code}"),
        }
    })
    .await
}

fn join(group: &str, member: &str, metadata: usize) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from(vec![7; metadata]));
    JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(member))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// 100 members of one group with 1 MB of metadata each, and of 20 groups with 4 MB each.
pub async fn huge_members(target: &Target) -> Result<String> {
    const MEMBERS: usize = 100;
    let mut peer = Peer::open(target.kafka).await?;
    find_coordinator(&mut peer, "huge").await?;
    let mut joins = JoinSet::new();
    for index in 0..MEMBERS {
        let address = target.kafka;
        // Version 3 has the member join with its first request, without an id.
        let (group, metadata) = match index % 5 {
            0 => (format!("huge-{index}"), 4 << 20),
            _ => ("huge".to_owned(), 1 << 20),
        };
        joins.spawn(async move {
            let mut peer = Peer::open(address).await?;
            peer.send(&framed(&join(&group, "", metadata), 3)?).await?;
            peer.outcome(Duration::from_secs(5)).await
        });
    }
    let (mut answered, mut closed, mut waiting) = (0, 0, 0);
    while let Some(outcome) = joins.join_next().await {
        match outcome?? {
            Outcome::Answer(_) => answered += 1,
            Outcome::Closed => closed += 1,
            Outcome::Silence => waiting += 1,
        }
    }
    ensure!(closed == 0, "{closed} of {MEMBERS} closed");
    Ok(format!("{answered} answered, {waiting} still joining"))
}

/// Members with 1 MB of metadata each, 100 at once, in groups of which most have a partition of their coordinators' topic
/// for themselves: each partition has room for its own, and all together have not.
pub async fn huge_members_everywhere(target: &Target) -> Result<String> {
    const WAVES: usize = 5;
    let mut peer = Peer::open(target.kafka).await?;
    find_coordinator(&mut peer, "everywhere").await?;
    let (mut joined, mut refused) = (Vec::new(), 0);
    for wave in 0..WAVES {
        for (group, code, member) in wave_of_members(target, wave).await? {
            match code {
                0 => joined.push((group, member)),
                COORDINATOR_NOT_AVAILABLE => refused += 1,
                code => bail!("JoinGroup: {code}"),
            }
        }
        if refused > 0 {
            break;
        }
    }
    ensure!(refused > 0, "{} members of 1 MB were taken", joined.len());
    // What comes next is to find the room again.
    for (group, member) in &joined {
        let member = MemberIdentity::default().with_member_id(text(member));
        let request = LeaveGroupRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_members(vec![member]);
        peer.call(&request, 3).await?;
    }
    Ok(format!("{} taken, {refused} refused", joined.len()))
}

/// 100 of them in 10 groups: their groups, the codes with which they were answered, their ids.
async fn wave_of_members(target: &Target, wave: usize) -> Result<Vec<(String, i16, String)>> {
    const MEMBERS: usize = 100;
    const GROUPS: usize = 10;
    let mut joins = JoinSet::new();
    for index in 0..MEMBERS {
        let address = target.kafka;
        joins.spawn(async move {
            let mut peer = Peer::open(address).await?;
            let group = format!("everywhere-{wave}-{}", index % GROUPS);
            let request = join(&group, "", 1 << 20).with_session_timeout_ms(60_000);
            let answer = peer.call(&request, 3).await?;
            anyhow::Ok((group, answer.error_code, answer.member_id.to_string()))
        });
    }
    let mut answered = Vec::new();
    while let Some(one) = joins.join_next().await {
        answered.push(one??);
    }
    Ok(answered)
}

/// 5,000 groups that commit one offset each, and metadata that is too long.
pub async fn many_groups(target: &Target) -> Result<String> {
    const GROUPS: usize = 5_000;
    const AT_ONCE: usize = 50;
    wide(target).await?;
    let mut peer = Peer::open(target.kafka).await?;
    find_coordinator(&mut peer, "many").await?;
    let commit = |group: &str, metadata: usize| {
        let partition = OffsetCommitRequestPartition::default()
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text(&"m".repeat(metadata))));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(name(WIDE_TOPIC))
            .with_partitions(vec![partition]);
        OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic])
    };
    for metadata in [4097, 32_767] {
        let answer = peer.call(&commit("many", metadata), 7).await?;
        let code = answer.topics[0].partitions[0].error_code;
        ensure!(code == OFFSET_METADATA_TOO_LARGE, "metadata of {metadata} bytes: {code}");
    }
    for first in (0..GROUPS).step_by(AT_ONCE) {
        for index in first..first + AT_ONCE {
            peer.send(&framed(&commit(&format!("many-{index}"), 1_000), 7)?).await?;
        }
        for _ in 0..AT_ONCE {
            let answer = peer.answer::<OffsetCommitRequest>(7).await?;
            let topic = answer.topics.first().context("no topic is answered")?;
            ensure!(topic.partitions[0].error_code == 0, "{}", topic.partitions[0].error_code);
        }
    }
    Ok("12; 0".into())
}
