//! Requests whose fields lie, or ask for more than there can be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::BufMut;
use futures::{StreamExt, TryStreamExt};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreateTopicsRequest,
    DescribeGroupsRequest, FetchRequest, GroupId, JoinGroupRequest, MetadataRequest,
};
use kafka_protocol::protocol::Decodable;
use odradek_tests::tools::checkout;

use crate::batch::{Maker, produce};
use crate::target::Target;
use crate::wire::{Outcome, Peer, closes, correlation_of, name, raw, text, try_bytes, with_length};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const INVALID_GROUP_ID: i16 = 24;
const UNSUPPORTED_VERSION: i16 = 35;
const POLICY_VIOLATION: i16 = 44;
/// How long what may rightly wait (a fetch, a join) is waited for.
const PATIENCE: Duration = Duration::from_millis(400);
/// Connections at once of the attacks that try thousands of things.
pub const AT_ONCE: usize = 24;

/// APIs that no broker or no client has, and versions that are not served. Kafka closes the
/// connection, but answers ApiVersions in version 0 with its versions (KIP-511).
pub async fn unknown_apis_and_versions(target: &Target) -> Result<String> {
    for (api, version) in
        [(-1, 0), (999, 0), (i16::MAX, i16::MAX), (4, 0), (0, 2), (0, 99), (1, 3), (3, -1), (3, 99)]
    {
        let frame = raw(api, version, false, &[0; 16]);
        closes(target.kafka, &frame, &format!("API {api} version {version}")).await?;
    }
    for version in [5, 99, i16::MAX, -1] {
        let frame = raw(18, version, false, &[]);
        let Outcome::Answer(mut answer) = try_bytes(target.kafka, &frame, PATIENCE * 10).await?
        else {
            bail!("ApiVersions version {version} is not answered");
        };
        let _ = answer.split_to(4);
        let answer = ApiVersionsResponse::decode(&mut answer, 0)?;
        ensure!(answer.error_code == UNSUPPORTED_VERSION, "error {}", answer.error_code);
        ensure!(answer.api_keys.iter().any(|api| api.api_key == 18), "ApiVersions is not named");
    }
    Ok("closed; ApiVersions: 35".into())
}

/// Counts, lengths and sizes of 2^31-1 in the first field that has one: Kafka closes the connection.
pub async fn lying_counts(target: &Target) -> Result<String> {
    const MANY: &[u8] = &[0x7f, 0xff, 0xff, 0xff];
    const MANY_COMPACT: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x08];
    const MOST_COMPACT: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0x07];
    let produce = |records: &[u8]| {
        let head = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1];
        [&head[..], &[0, 0, 0, 0], records].concat()
    };
    let classic: &[(&str, i16, i16, Vec<u8>)] = &[
        ("topics of Metadata", 3, 1, MANY.to_vec()),
        ("topics of Produce", 0, 3, [&[0xff; 8][..], MANY].concat()),
        ("records of Produce", 0, 3, produce(MANY)),
        ("topics of Fetch", 1, 4, [&[0; 17][..], MANY].concat()),
        ("protocols of JoinGroup", 11, 0, [&[0, 1, b'g'][..], &[0; 8], MANY].concat()),
        ("assignments of SyncGroup", 14, 0, [&[0, 1, b'g'][..], &[0; 6], MANY].concat()),
        ("topics of OffsetCommit", 8, 2, [&[0, 1, b'g'][..], &[0; 14], MANY].concat()),
        ("groups of DescribeGroups", 15, 0, MANY.to_vec()),
        ("topics of CreateTopics", 19, 2, MANY.to_vec()),
        ("names of DeleteTopics", 20, 1, MANY.to_vec()),
        ("resources of AlterConfigs", 33, 0, MANY.to_vec()),
        ("a name of Metadata", 3, 1, vec![0, 0, 0, 1, 0x7f, 0xff, b'x']),
    ];
    let flexible: &[(&str, i16, i16, &[u8])] = &[
        ("topics of Metadata", 3, 12, MANY_COMPACT),
        ("topics of Metadata, one less", 3, 12, MOST_COMPACT),
        ("a name of Metadata", 3, 9, &[2, 0x80, 0x80, 0x80, 0x80, 0x08]),
        ("groups of DescribeGroups", 15, 5, MANY_COMPACT),
        ("topics of CreateTopics", 19, 7, MANY_COMPACT),
        ("keys of FindCoordinator", 10, 4, &[0, 0x80, 0x80, 0x80, 0x80, 0x08]),
        ("tags of Metadata", 3, 9, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x07]),
        ("a tag's size", 3, 9, &[1, 0, 0, 0, 1, 99, 0xff, 0xff, 0xff, 0xff, 0x07]),
    ];
    for (what, api, version, body) in classic {
        closes(target.kafka, &raw(*api, *version, false, body), what).await?;
    }
    for (what, api, version, body) in flexible {
        closes(target.kafka, &raw(*api, *version, true, body), what).await?;
    }
    let mut header_tags = Vec::new();
    header_tags.put_slice(&[0, 3, 0, 12, 0, 0, 0, 7, 0xff, 0xff]);
    header_tags.put_slice(MOST_COMPACT);
    closes(target.kafka, &with_length(&header_tags), "tags of a header").await?;
    Ok("closed".into())
}

/// A valid request of each API in its oldest and newest version, from the seeds of the fuzz
/// targets; by API.
pub fn valid_requests() -> Result<Vec<(i16, Vec<u8>)>> {
    let mut found: BTreeMap<(i16, i16), Vec<u8>> = BTreeMap::new();
    let seeds: PathBuf = checkout().join("protocol/fuzz/seeds/request");
    for entry in std::fs::read_dir(&seeds)? {
        let frame = std::fs::read(entry?.path())?;
        let number = |at: usize| frame.get(at..at + 2).map(|b| i16::from_be_bytes([b[0], b[1]]));
        let api = number(0).context("a seed without an API")?;
        let version = number(2).context("a seed without a version")?;
        found.insert((api, version), frame);
    }
    let apis: Vec<i16> = found.keys().map(|(api, _)| *api).collect();
    let mut chosen = BTreeMap::new();
    for api in apis {
        let mut versions = found.range((api, i16::MIN)..=(api, i16::MAX));
        let ends = [versions.next(), versions.next_back()];
        chosen.extend(ends.into_iter().flatten().map(|(key, frame)| (*key, frame.clone())));
    }
    ensure!(chosen.len() > 40, "{} seeds", chosen.len());
    Ok(chosen.into_iter().map(|((api, _), frame)| (api, frame)).collect())
}

/// Sends frames, each on a connection of its own, and counts what comes of them. Only what the
/// protocol lets wait may be left without an answer.
pub async fn try_frames(target: &Target, frames: Vec<Vec<u8>>) -> Result<String> {
    let tried = frames.len();
    let (mut answered, mut closed, mut waiting) = (0, 0, 0);
    let mut outcomes = futures::stream::iter(frames)
        .map(|frame| async move {
            let outcome = try_bytes(target.kafka, &with_length(&frame), PATIENCE).await?;
            anyhow::Ok((frame, outcome))
        })
        .buffer_unordered(AT_ONCE);
    while let Some((frame, outcome)) = outcomes.try_next().await? {
        match outcome {
            Outcome::Answer(answer) => {
                let asked =
                    frame.get(4..8).map(|id| i32::from_be_bytes([id[0], id[1], id[2], id[3]]));
                ensure!(correlation_of(&answer) == asked, "an answer to another request");
                answered += 1;
            }
            Outcome::Closed => closed += 1,
            Outcome::Silence => waiting += 1,
        }
    }
    ensure!(waiting < tried / 10, "{waiting} of {tried} without an answer");
    Ok(format!("{answered} answered, {closed} closed, {waiting} waiting"))
}

/// Counts and lengths that lie, at every position of a request of every API.
pub async fn lies_at_every_position(target: &Target) -> Result<String> {
    const LIES: [&[u8]; 2] = [&[0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xff, 0x07]];
    let mut frames = Vec::new();
    for (_, frame) in valid_requests()? {
        for at in 8..frame.len() {
            for lie in LIES {
                let tail = frame.get(at + lie.len()..).unwrap_or_default();
                frames.push([&frame[..at], lie, tail].concat());
            }
        }
    }
    ensure!(frames.len() > 2_000, "{} frames", frames.len());
    try_frames(target, frames).await
}

/// Names as long as the wire can carry: Kafka's error, and the connection stays.
pub async fn oversized_names(target: &Target) -> Result<String> {
    let long = "n".repeat(i16::MAX.unsigned_abs().into());
    let mut peer = Peer::open(target.kafka).await?;

    let topic = MetadataRequestTopic::default().with_name(Some(name(&long)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(true);
    let code = peer.call(&request, 12).await?.topics[0].error_code;
    ensure!(code == INVALID_TOPIC, "Metadata: {code}");

    let topic = CreatableTopic::default()
        .with_name(name(&long))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
    let code = peer.call(&request, 7).await?.topics[0].error_code;
    ensure!(code == INVALID_TOPIC, "CreateTopics: {code}");

    let answer = produce(&mut peer, &long, Maker::of(&[(None, b"v")]).build()).await?;
    ensure!(answer.error_code == UNKNOWN_TOPIC_OR_PARTITION, "Produce: {}", answer.error_code);

    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(&long)))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text(&long));
    let code = peer.call(&request, 5).await?.error_code;
    ensure!(code != 0, "JoinGroup takes a group of a name of 32 KB");

    let groups = vec![GroupId(text(&long)); 200];
    let request = DescribeGroupsRequest::default().with_groups(groups);
    let answer = peer.call(&request, 5).await?;
    ensure!(!answer.groups.is_empty(), "DescribeGroups answers nothing");

    let mut frame = vec![0, 18, 0, 0, 0, 0, 0, 7, 0x7f, 0xff];
    frame.extend(long.as_bytes());
    let outcome = try_bytes(target.kafka, &with_length(&frame), PATIENCE * 10).await?;
    ensure!(matches!(outcome, Outcome::Answer(_)), "a client id of 32 KB: {outcome:?}");
    let empty = JoinGroupRequest::default().with_session_timeout_ms(10_000);
    let code = peer.call(&empty, 5).await?.error_code;
    ensure!(code == INVALID_GROUP_ID, "JoinGroup without a group: {code}");
    peer.call(&ApiVersionsRequest::default(), 0).await?;
    Ok("17, 3, 24".into())
}

/// Topics of 2^31-1 partitions, made and grown: Kafka's error.
pub async fn partitions_without_end(target: &Target) -> Result<String> {
    target.create("grows", 1, &[]).await?;
    let mut peer = Peer::open(target.kafka).await?;
    for validate_only in [true, false] {
        let topic = CreatableTopic::default()
            .with_name(name("endless"))
            .with_num_partitions(i32::MAX)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(5_000)
            .with_validate_only(validate_only);
        let code = peer.call(&request, 7).await?.topics[0].error_code;
        ensure!(code == POLICY_VIOLATION, "CreateTopics: {code}");
        let topic = CreatePartitionsTopic::default().with_name(name("grows")).with_count(i32::MAX);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(5_000)
            .with_validate_only(validate_only);
        let code = peer.call(&request, 3).await?.results[0].error_code;
        ensure!(code == POLICY_VIOLATION, "CreatePartitions: {code}");
    }
    Ok("44".into())
}

/// A fetch of 100,000 partitions.
fn large_fetch(session_id: i32, session_epoch: i32) -> FetchRequest {
    let partitions = (0..LARGE_FETCH).map(|partition| {
        FetchPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(-1)
            .with_partition_max_bytes(1 << 20)
    });
    let topic =
        FetchTopic::default().with_topic(name("grows")).with_partitions(partitions.collect());
    FetchRequest::default()
        .with_max_wait_ms(100)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_id(session_id)
        .with_session_epoch(session_epoch)
        .with_topics(vec![topic])
}

const LARGE_FETCH: i32 = 100_000;

/// One fetch of 100,000 partitions of which there is one, without a session and with one, which
/// then forgets them all.
pub async fn fetch_of_100k_partitions(target: &Target) -> Result<String> {
    let mut peer = Peer::open(target.kafka).await?;
    let mut session_id = 0;
    for session_epoch in [-1, 0] {
        let answer = peer.call(&large_fetch(0, session_epoch), 12).await?;
        session_id = answer.session_id;
        let answered = &answer.responses[0].partitions;
        ensure!(answered.len() == 100_000, "{} partitions", answered.len());
        let unknown =
            answered.iter().filter(|p| p.error_code == UNKNOWN_TOPIC_OR_PARTITION).count();
        ensure!(unknown >= 99_999, "{unknown} are unknown");
    }
    let forgotten = ForgottenTopic::default()
        .with_topic(name("grows"))
        .with_partitions((0..LARGE_FETCH).collect());
    let request = large_fetch(session_id, 1)
        .with_topics(Vec::new())
        .with_forgotten_topics_data(vec![forgotten]);
    let answer = peer.call(&request, 12).await?;
    ensure!(answer.error_code == 0 && answer.responses.is_empty(), "forgotten: {answer:?}");
    Ok("3 for each".into())
}

/// 40 fetch sessions of 100,000 partitions each, left open.
pub async fn large_fetch_sessions(target: &Target) -> Result<String> {
    let mut opened = 0;
    for _ in 0..40 {
        let mut peer = Peer::open(target.kafka).await?;
        let answer = peer.call(&large_fetch(0, 0), 12).await?;
        ensure!(answer.error_code == 0, "{}", answer.error_code);
        opened += usize::from(answer.session_id != 0);
    }
    ensure!((1..40).contains(&opened), "{opened} sessions are open");
    Ok(format!("{opened} of 40 have a session"))
}
