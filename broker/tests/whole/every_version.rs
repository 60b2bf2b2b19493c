//! Requests that succeed, of every API in every version that is served: their answers are read to the
//! last byte (`Wire` sees to that), speak of what was asked for, and hold no error.

use std::collections::BTreeSet;

use bytes::Bytes;
use kafka_protocol::messages::add_raft_voter_request;
use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_quorum_request;
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request as commit;
use kafka_protocol::messages::offset_delete_request as offset_delete;
use kafka_protocol::messages::offset_fetch_request as offset_fetch;
use kafka_protocol::messages::offset_for_leader_epoch_request as leader_epoch;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    AddRaftVoterRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest, ApiKey,
    ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeAclsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeQuorumRequest, DescribeTopicPartitionsRequest,
    ElectLeadersRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, ListConfigResourcesRequest, ListGroupsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, OffsetForLeaderEpochRequest, RemoveRaftVoterRequest, SyncGroupRequest,
    UnregisterBrokerRequest, describe_producers_request, describe_topic_partitions_request,
};
use kafka_protocol::protocol::StrBytes;
use odradek_common::files::sim::SimFiles;
use odradek_protocol::versions::{SERVED, find};
use uuid::Uuid;

use super::life::{Life, settings};
use super::list_offsets::listed;
use super::store_faults::client;
use super::waiting::answered;
use super::wire::{Failed, Wire, batch, fetch_request, name, produce_request};
use super::workload::find_coordinator;

const MEMBER_ID_REQUIRED: i16 = 79;
const SECURITY_DISABLED: i16 = 54;
const BROKER_ID_NOT_REGISTERED: i16 = 102;
const DUPLICATE_VOTER: i16 = 126;
const VOTER_NOT_FOUND: i16 = 127;
const TOPIC: i8 = 2;
const WAIT_MS: i32 = 10_000;

/// A group that has committed an offset, and no members.
const GROUP: &str = "simple";

struct Sweep<'a> {
    wire: &'a mut Wire,
    done: BTreeSet<i16>,
    wrong: Vec<String>,
}

impl Sweep<'_> {
    /// Asks in each version; there must be codes in what is answered, and they must be 0.
    async fn each(
        &mut self,
        api: ApiKey,
        mut codes: impl AsyncFnMut(&mut Wire, i16) -> Result<Vec<i16>, Failed>,
    ) {
        let row = find(api).unwrap();
        for version in row.min..=row.max {
            match codes(self.wire, version).await {
                Ok(codes) if !codes.is_empty() && codes.iter().all(|code| *code == 0) => {}
                other => self.wrong.push(format!("{api:?} {version}: {other:?}")),
            }
        }
        self.done.insert(api as i16);
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

#[test]
fn every_api_answers_in_every_version() {
    let flags = ["wal.kind=disk", "group.initial.rebalance.delay.ms=0"];
    let life = Life::start(settings(&flags), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        // The first look makes the topic of the groups.
        answered(async || find_coordinator(&mut wire).await).await;
        let mut sweep = Sweep { wire: &mut wire, done: BTreeSet::new(), wrong: Vec::new() };
        records(&mut sweep).await;
        topics(&mut sweep).await;
        configs(&mut sweep).await;
        cluster(&mut sweep).await;
        placement(&mut sweep).await;
        quorum(&mut sweep).await;
        offsets(&mut sweep).await;
        members(&mut sweep).await;
        groups(&mut sweep).await;
        let served: BTreeSet<i16> = SERVED.iter().map(|row| row.api as i16).collect();
        assert_eq!(sweep.done, served);
        assert!(sweep.wrong.is_empty(), "{}", sweep.wrong.join("\n"));
    });
    life.crash();
}

async fn records(sweep: &mut Sweep<'_>) {
    let named = MetadataRequestTopic::default().with_name(Some(name("t")));
    let named = MetadataRequest::default().with_topics(Some(vec![named]));
    let topic_id = sweep.wire.call(&named, 12).await.unwrap().topics[0].topic_id;
    let mut sequence = 0;
    let produce = async |wire: &mut Wire, version| {
        let mut request = produce_request("t", 0, batch(5, sequence, &[vec![1]]), WAIT_MS);
        request.topic_data[0].topic_id = topic_id;
        sequence += 1;
        let answer = wire.call(&request, version).await?;
        let all = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        Ok(all.map(|p| p.error_code).collect())
    };
    sweep.each(ApiKey::Produce, produce).await;
    let fetch = async |wire: &mut Wire, version| {
        let mut request = fetch_request("t", 0, 0, 0);
        request.topics[0].topic_id = topic_id;
        let answer = wire.call(&request, version).await?;
        let partition = &answer.responses[0].partitions[0];
        assert!(partition.records.as_ref().is_some_and(|records| !records.is_empty()));
        Ok(vec![answer.error_code, partition.error_code])
    };
    sweep.each(ApiKey::Fetch, fetch).await;
    let list = async |wire: &mut Wire, version| {
        let (code, offset, _) = listed(wire, version, -1).await;
        assert!(offset > 0);
        Ok(vec![code])
    };
    sweep.each(ApiKey::ListOffsets, list).await;
    let epochs = async |wire: &mut Wire, version| {
        let partition = leader_epoch::OffsetForLeaderPartition::default().with_leader_epoch(0);
        let topic = leader_epoch::OffsetForLeaderTopic::default()
            .with_topic(name("t"))
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let answer = wire.call(&request, version).await?;
        Ok(vec![answer.topics[0].partitions[0].error_code])
    };
    sweep.each(ApiKey::OffsetForLeaderEpoch, epochs).await;
    let producers = async |wire: &mut Wire, version| {
        let topic = describe_producers_request::TopicRequest::default()
            .with_name(name("t"))
            .with_partition_indexes(vec![0]);
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        let answer = wire.call(&request, version).await?;
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.active_producers.len(), 1);
        Ok(vec![partition.error_code])
    };
    sweep.each(ApiKey::DescribeProducers, producers).await;
    let init = async |wire: &mut Wire, version| {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(WAIT_MS)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        Ok(vec![wire.call(&request, version).await?.error_code])
    };
    sweep.each(ApiKey::InitProducerId, init).await;
    let delete = async |wire: &mut Wire, version| {
        let at = DeleteRecordsPartition::default().with_offset(i64::from(version) + 1);
        let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![at]);
        let request =
            DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(WAIT_MS);
        let answer = wire.call(&request, version).await?;
        Ok(answer.topics[0].partitions.iter().map(|p| p.error_code).collect())
    };
    sweep.each(ApiKey::DeleteRecords, delete).await;
}

async fn topics(sweep: &mut Sweep<'_>) {
    let create = async |wire: &mut Wire, version| {
        let topic = CreatableTopic::default()
            .with_name(name(&format!("made-{version}")))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(WAIT_MS);
        let answer = wire.call(&request, version).await?;
        Ok(answer.topics.iter().map(|topic| topic.error_code).collect())
    };
    sweep.each(ApiKey::CreateTopics, create).await;
    let grow = async |wire: &mut Wire, version| {
        let topic = CreatePartitionsTopic::default()
            .with_name(name("made-2"))
            .with_count(i32::from(version) + 2)
            .with_assignments(None);
        let request =
            CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(WAIT_MS);
        let answer = wire.call(&request, version).await?;
        Ok(answer.results.iter().map(|topic| topic.error_code).collect())
    };
    sweep.each(ApiKey::CreatePartitions, grow).await;
    let metadata = async |wire: &mut Wire, version| {
        let topic = MetadataRequestTopic::default().with_name(Some(name("made-2")));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let answer = wire.call(&request, version).await?;
        let topic = &answer.topics[0];
        assert_eq!(topic.partitions.len(), 5);
        Ok(topic.partitions.iter().map(|p| p.error_code).chain([topic.error_code]).collect())
    };
    sweep.each(ApiKey::Metadata, metadata).await;
    let describe = async |wire: &mut Wire, version| {
        let topic =
            describe_topic_partitions_request::TopicRequest::default().with_name(name("made-2"));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(vec![topic])
            .with_response_partition_limit(100);
        let answer = wire.call(&request, version).await?;
        let topic = &answer.topics[0];
        assert_eq!(topic.partitions.len(), 5);
        Ok(topic.partitions.iter().map(|p| p.error_code).chain([topic.error_code]).collect())
    };
    sweep.each(ApiKey::DescribeTopicPartitions, describe).await;
    let delete = async |wire: &mut Wire, version| {
        // From version 1 on; CreateTopics is served from 2.
        let topic = name(&format!("made-{}", version + 1));
        let request = DeleteTopicsRequest::default().with_timeout_ms(WAIT_MS);
        let request = if version < 6 {
            request.with_topic_names(vec![topic])
        } else {
            request.with_topics(vec![DeleteTopicState::default().with_name(Some(topic))])
        };
        let answer = wire.call(&request, version).await?;
        Ok(answer.responses.iter().map(|topic| topic.error_code).collect())
    };
    sweep.each(ApiKey::DeleteTopics, delete).await;
}

async fn configs(sweep: &mut Sweep<'_>) {
    let describe = async |wire: &mut Wire, version| {
        let topic = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![topic]);
        let answer = wire.call(&request, version).await?;
        assert!(!answer.results[0].configs.is_empty());
        Ok(answer.results.iter().map(|result| result.error_code).collect())
    };
    sweep.each(ApiKey::DescribeConfigs, describe).await;
    let (key, value) = (text("retention.ms"), Some(text("-1")));
    let alter = async |wire: &mut Wire, version| {
        let config = AlterableConfig::default().with_name(key.clone()).with_value(value.clone());
        let topic = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"))
            .with_configs(vec![config]);
        let request = AlterConfigsRequest::default().with_resources(vec![topic]);
        let answer = wire.call(&request, version).await?;
        Ok(answer.responses.iter().map(|result| result.error_code).collect())
    };
    sweep.each(ApiKey::AlterConfigs, alter).await;
    let alter = async |wire: &mut Wire, version| {
        let config = incremental::AlterableConfig::default()
            .with_name(key.clone())
            .with_value(value.clone());
        let topic = incremental::AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![topic]);
        let answer = wire.call(&request, version).await?;
        Ok(answer.responses.iter().map(|result| result.error_code).collect())
    };
    sweep.each(ApiKey::IncrementalAlterConfigs, alter).await;
    let list = async |wire: &mut Wire, version| {
        let answer = wire.call(&ListConfigResourcesRequest::default(), version).await?;
        Ok(vec![answer.error_code])
    };
    sweep.each(ApiKey::ListConfigResources, list).await;
}

async fn cluster(sweep: &mut Sweep<'_>) {
    let versions = async |wire: &mut Wire, version| {
        let request = ApiVersionsRequest::default();
        let request = if version < 3 {
            request
        } else {
            let named = request.with_client_software_name(text("test"));
            named.with_client_software_version(text("1"))
        };
        let answer = wire.call(&request, version).await?;
        let told =
            answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version));
        let rows = SERVED.iter().map(|row| (row.api as i16, row.advertised_min, row.max));
        assert_eq!(told.collect::<BTreeSet<_>>(), rows.collect::<BTreeSet<_>>());
        Ok(vec![answer.error_code])
    };
    sweep.each(ApiKey::ApiVersions, versions).await;
    let describe = async |wire: &mut Wire, version| {
        let answer = wire.call(&DescribeClusterRequest::default(), version).await?;
        assert_eq!(answer.brokers.len(), 1);
        Ok(vec![answer.error_code])
    };
    sweep.each(ApiKey::DescribeCluster, describe).await;
    let directories = async |wire: &mut Wire, version| {
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let answer = wire.call(&request, version).await?;
        let codes = answer.results.iter().map(|result| result.error_code);
        Ok(codes.chain([answer.error_code]).collect())
    };
    sweep.each(ApiKey::DescribeLogDirs, directories).await;
    let acls = async |wire: &mut Wire, version| {
        const ANY: i8 = 1;
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(ANY)
            .with_pattern_type_filter(ANY)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let answer = wire.call(&request, version).await?;
        // There is no better answer without an authorizer.
        assert_eq!(answer.error_code, SECURITY_DISABLED);
        Ok(vec![0])
    };
    sweep.each(ApiKey::DescribeAcls, acls).await;
}

async fn placement(sweep: &mut Sweep<'_>) {
    let reassign = async |wire: &mut Wire, version| {
        let partition = ReassignablePartition::default().with_replicas(Some(vec![1.into()]));
        let topic =
            ReassignableTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
        let answer = wire.call(&request, version).await?;
        let partition = &answer.responses[0].partitions[0];
        Ok(vec![answer.error_code, partition.error_code])
    };
    sweep.each(ApiKey::AlterPartitionReassignments, reassign).await;
    let list = async |wire: &mut Wire, version| {
        let request = ListPartitionReassignmentsRequest::default().with_topics(None);
        let answer = wire.call(&request, version).await?;
        assert!(answer.topics.is_empty());
        Ok(vec![answer.error_code])
    };
    sweep.each(ApiKey::ListPartitionReassignments, list).await;
    let elect = async |wire: &mut Wire, version| {
        let request = ElectLeadersRequest::default().with_topic_partitions(None);
        let answer = wire.call(&request, version).await?;
        // All of them are where they should be, which is not told.
        assert!(answer.replica_election_results.is_empty());
        Ok(vec![answer.error_code])
    };
    sweep.each(ApiKey::ElectLeaders, elect).await;
    let unregister = async |wire: &mut Wire, version| {
        let request = UnregisterBrokerRequest::default().with_broker_id(7.into());
        let answer = wire.call(&request, version).await?;
        // The only broker cannot be forgotten.
        assert_eq!(answer.error_code, BROKER_ID_NOT_REGISTERED);
        Ok(vec![0])
    };
    sweep.each(ApiKey::UnregisterBroker, unregister).await;
}

async fn quorum(sweep: &mut Sweep<'_>) {
    let describe = async |wire: &mut Wire, version| {
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(name("__cluster_metadata"))
            .with_partitions(vec![describe_quorum_request::PartitionData::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let answer = wire.call(&request, version).await?;
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((*partition.leader_id, partition.current_voters.len()), (1, 1));
        let voter = &partition.current_voters[0];
        assert!(voter.log_end_offset >= partition.high_watermark && partition.high_watermark > 0);
        assert_eq!(voter.last_fetch_timestamp > 0, version >= 1);
        assert_eq!(voter.replica_directory_id.is_nil(), version < 2);
        assert_eq!(answer.nodes.len(), usize::from(version >= 2));
        Ok(vec![answer.error_code, partition.error_code])
    };
    sweep.each(ApiKey::DescribeQuorum, describe).await;
    let directory = Uuid::from_u128(1);
    let add = async |wire: &mut Wire, version| {
        let listener = add_raft_voter_request::Listener::default()
            .with_name(text("CONTROLLER"))
            .with_host(text("localhost"))
            .with_port(9093);
        let request = AddRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_timeout_ms(WAIT_MS)
            .with_voter_id(1)
            .with_voter_directory_id(directory)
            .with_listeners(vec![listener]);
        let answer = wire.call(&request, version).await?;
        // The node votes, and there is no other that could.
        assert_eq!(answer.error_code, DUPLICATE_VOTER);
        Ok(vec![0])
    };
    sweep.each(ApiKey::AddRaftVoter, add).await;
    let remove = async |wire: &mut Wire, version| {
        let request = RemoveRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_voter_id(1)
            .with_voter_directory_id(directory);
        let answer = wire.call(&request, version).await?;
        // The only voter has another directory, and has to stay.
        assert_eq!(answer.error_code, VOTER_NOT_FOUND);
        Ok(vec![0])
    };
    sweep.each(ApiKey::RemoveRaftVoter, remove).await;
}

/// Commits an offset of a group without members.
async fn commit(wire: &mut Wire, version: i16, to: &str) -> Result<Vec<i16>, Failed> {
    let partition = commit::OffsetCommitRequestPartition::default()
        .with_committed_offset(3)
        .with_committed_metadata(Some(text("")));
    let topic = commit::OffsetCommitRequestTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(to))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let answer = wire.call(&request, version).await?;
    Ok(answer.topics[0].partitions.iter().map(|p| p.error_code).collect())
}

async fn offsets(sweep: &mut Sweep<'_>) {
    sweep
        .each(ApiKey::OffsetCommit, async |wire, version| commit(wire, version, GROUP).await)
        .await;
    let fetch = async |wire: &mut Wire, version| {
        if version < 8 {
            let topic = offset_fetch::OffsetFetchRequestTopic::default()
                .with_name(name("t"))
                .with_partition_indexes(vec![0]);
            let request = OffsetFetchRequest::default()
                .with_group_id(group(GROUP))
                .with_topics(Some(vec![topic]));
            let answer = wire.call(&request, version).await?;
            let partition = &answer.topics[0].partitions[0];
            assert_eq!(partition.committed_offset, 3);
            return Ok(vec![answer.error_code, partition.error_code]);
        }
        let topic = offset_fetch::OffsetFetchRequestTopics::default()
            .with_name(name("t"))
            .with_partition_indexes(vec![0]);
        let asked = offset_fetch::OffsetFetchRequestGroup::default()
            .with_group_id(group(GROUP))
            .with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default().with_groups(vec![asked]);
        let answer = wire.call(&request, version).await?;
        let told = &answer.groups[0];
        let partition = &told.topics[0].partitions[0];
        assert_eq!(partition.committed_offset, 3);
        Ok(vec![told.error_code, partition.error_code])
    };
    sweep.each(ApiKey::OffsetFetch, fetch).await;
    let delete = async |wire: &mut Wire, version| {
        let partition = offset_delete::OffsetDeleteRequestPartition::default();
        let topic = offset_delete::OffsetDeleteRequestTopic::default()
            .with_name(name("t"))
            .with_partitions(vec![partition]);
        let to = format!("forgotten-{version}");
        commit(wire, 8, &to).await?;
        let request =
            OffsetDeleteRequest::default().with_group_id(group(&to)).with_topics(vec![topic]);
        let answer = wire.call(&request, version).await?;
        Ok(vec![answer.error_code, answer.topics[0].partitions[0].error_code])
    };
    sweep.each(ApiKey::OffsetDelete, delete).await;
}

/// Joins a group of its own, as clients do: with the id that the first answer gives.
async fn join(wire: &mut Wire, version: i16, to: &str) -> Result<JoinGroupResponse, Failed> {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"what it wants"));
    let request = JoinGroupRequest::default()
        .with_group_id(group(to))
        .with_session_timeout_ms(WAIT_MS)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let request = if version < 1 { request } else { request.with_rebalance_timeout_ms(WAIT_MS) };
    let answer = wire.call(&request, version).await?;
    if answer.error_code != MEMBER_ID_REQUIRED {
        return Ok(answer);
    }
    wire.call(&request.with_member_id(answer.member_id), version).await
}

/// Gets the assignment that it gives itself.
async fn sync(wire: &mut Wire, version: i16, to: &str) -> Result<(String, i32, i16), Failed> {
    let joined = join(wire, 4, to).await?;
    Failed::check(joined.error_code)?;
    let assignment = Bytes::from_static(b"what it gets");
    let given = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(assignment.clone());
    let request = SyncGroupRequest::default()
        .with_group_id(group(to))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![given]);
    let request = if version < 5 {
        request
    } else {
        let typed = request.with_protocol_type(Some(text("consumer")));
        typed.with_protocol_name(Some(text("range")))
    };
    let answer = wire.call(&request, version).await?;
    Failed::check(answer.error_code)?;
    assert_eq!(answer.assignment, assignment);
    Ok((joined.member_id.to_string(), joined.generation_id, answer.error_code))
}

async fn members(sweep: &mut Sweep<'_>) {
    let joins = async |wire: &mut Wire, version| {
        let joined = join(wire, version, &format!("join-{version}")).await?;
        Failed::check(joined.error_code)?;
        assert_eq!((joined.generation_id, joined.members.len()), (1, 1));
        Ok(vec![0])
    };
    sweep.each(ApiKey::JoinGroup, joins).await;
    let syncs = async |wire: &mut Wire, version| {
        Ok(vec![sync(wire, version, &format!("sync-{version}")).await?.2])
    };
    sweep.each(ApiKey::SyncGroup, syncs).await;
    let beats = async |wire: &mut Wire, version| {
        let to = format!("beat-{version}");
        let (member, generation, _) = sync(wire, 3, &to).await?;
        let request = HeartbeatRequest::default()
            .with_group_id(group(&to))
            .with_generation_id(generation)
            .with_member_id(text(&member));
        Ok(vec![wire.call(&request, version).await?.error_code])
    };
    sweep.each(ApiKey::Heartbeat, beats).await;
    let leaves = async |wire: &mut Wire, version| {
        let to = format!("leave-{version}");
        let (member, ..) = sync(wire, 3, &to).await?;
        let request = LeaveGroupRequest::default().with_group_id(group(&to));
        let request = if version < 3 {
            request.with_member_id(text(&member))
        } else {
            request.with_members(vec![MemberIdentity::default().with_member_id(text(&member))])
        };
        let answer = wire.call(&request, version).await?;
        assert_eq!(answer.members.len(), usize::from(version >= 3));
        Ok(answer.members.iter().map(|m| m.error_code).chain([answer.error_code]).collect())
    };
    sweep.each(ApiKey::LeaveGroup, leaves).await;
}

async fn groups(sweep: &mut Sweep<'_>) {
    let finds = async |wire: &mut Wire, version| {
        let request = FindCoordinatorRequest::default();
        if version < 4 {
            let answer = wire.call(&request.with_key(text(GROUP)), version).await?;
            return Ok(vec![answer.error_code]);
        }
        let request = request.with_coordinator_keys(vec![text(GROUP)]);
        let answer = wire.call(&request, version).await?;
        Ok(answer.coordinators.iter().map(|found| found.error_code).collect())
    };
    sweep.each(ApiKey::FindCoordinator, finds).await;
    let describes = async |wire: &mut Wire, version| {
        // One that still has its member.
        let request = DescribeGroupsRequest::default().with_groups(vec![group("sync-5")]);
        let answer = wire.call(&request, version).await?;
        assert_eq!(answer.groups[0].members.len(), 1);
        Ok(answer.groups.iter().map(|group| group.error_code).collect())
    };
    sweep.each(ApiKey::DescribeGroups, describes).await;
    let lists = async |wire: &mut Wire, version| {
        let answer = wire.call(&ListGroupsRequest::default(), version).await?;
        assert!(answer.groups.iter().any(|listed| *listed.group_id == *GROUP));
        Ok(vec![answer.error_code])
    };
    sweep.each(ApiKey::ListGroups, lists).await;
    let deletes = async |wire: &mut Wire, version| {
        let to = format!("deleted-{version}");
        commit(wire, 8, &to).await?;
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group(&to)]);
        let answer = wire.call(&request, version).await?;
        Ok(answer.results.iter().map(|result| result.error_code).collect())
    };
    sweep.each(ApiKey::DeleteGroups, deletes).await;
}
