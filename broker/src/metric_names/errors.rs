//! The errors that an answer carries, for counting.

use std::collections::BTreeSet;

use kafka_protocol::messages::ResponseKind;

/// The different error codes in an answer, at whatever level they stand; empty if all went well.
/// Fetch is answered by a type of its own and is not looked into here.
#[must_use]
pub fn error_codes(response: &ResponseKind) -> BTreeSet<i16> {
    let mut codes: BTreeSet<i16> = [whole(response)].into();
    match response {
        ResponseKind::ListOffsets(_)
        | ResponseKind::OffsetForLeaderEpoch(_)
        | ResponseKind::Produce(_)
        | ResponseKind::Metadata(_)
        | ResponseKind::DescribeTopicPartitions(_)
        | ResponseKind::DeleteRecords(_)
        | ResponseKind::DescribeProducers(_)
        | ResponseKind::AlterPartitionReassignments(_)
        | ResponseKind::ElectLeaders(_)
        | ResponseKind::DescribeQuorum(_) => of_partitions(response, &mut codes),
        ResponseKind::OffsetCommit(_)
        | ResponseKind::OffsetFetch(_)
        | ResponseKind::OffsetDelete(_)
        | ResponseKind::FindCoordinator(_)
        | ResponseKind::LeaveGroup(_)
        | ResponseKind::DescribeGroups(_)
        | ResponseKind::DeleteGroups(_) => of_groups(response, &mut codes),
        _ => of_resources(response, &mut codes),
    }
    codes.remove(&0);
    codes
}

/// The error of the answer as a whole.
fn whole(response: &ResponseKind) -> i16 {
    match response {
        ResponseKind::Metadata(r) => r.error_code,
        ResponseKind::ApiVersions(r) => r.error_code,
        ResponseKind::InitProducerId(r) => r.error_code,
        ResponseKind::FindCoordinator(r) => r.error_code,
        ResponseKind::JoinGroup(r) => r.error_code,
        ResponseKind::SyncGroup(r) => r.error_code,
        ResponseKind::Heartbeat(r) => r.error_code,
        ResponseKind::LeaveGroup(r) => r.error_code,
        ResponseKind::ListGroups(r) => r.error_code,
        ResponseKind::OffsetFetch(r) => r.error_code,
        ResponseKind::OffsetDelete(r) => r.error_code,
        ResponseKind::DescribeCluster(r) => r.error_code,
        ResponseKind::DescribeLogDirs(r) => r.error_code,
        ResponseKind::DescribeAcls(r) => r.error_code,
        ResponseKind::ListConfigResources(r) => r.error_code,
        ResponseKind::AlterPartitionReassignments(r) => r.error_code,
        ResponseKind::ListPartitionReassignments(r) => r.error_code,
        ResponseKind::ElectLeaders(r) => r.error_code,
        ResponseKind::DescribeQuorum(r) => r.error_code,
        ResponseKind::UnregisterBroker(r) => r.error_code,
        ResponseKind::AddRaftVoter(r) => r.error_code,
        ResponseKind::RemoveRaftVoter(r) => r.error_code,
        _ => 0,
    }
}

fn of_partitions(response: &ResponseKind, codes: &mut BTreeSet<i16>) {
    match response {
        ResponseKind::Produce(r) => {
            let all = r.responses.iter().flat_map(|topic| &topic.partition_responses);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::ListOffsets(r) => {
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::OffsetForLeaderEpoch(r) => {
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::Metadata(r) => {
            codes.extend(r.topics.iter().map(|topic| topic.error_code));
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::DescribeTopicPartitions(r) => {
            codes.extend(r.topics.iter().map(|topic| topic.error_code));
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::DeleteRecords(r) => {
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::DescribeProducers(r) => {
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::AlterPartitionReassignments(r) => {
            let all = r.responses.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::ElectLeaders(r) => {
            let all = r.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::DescribeQuorum(r) => {
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        _ => {}
    }
}

fn of_groups(response: &ResponseKind, codes: &mut BTreeSet<i16>) {
    match response {
        ResponseKind::OffsetCommit(r) => {
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::OffsetFetch(r) => {
            codes.extend(r.groups.iter().map(|group| group.error_code));
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
            let topics = r.groups.iter().flat_map(|group| &group.topics);
            let all = topics.flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::OffsetDelete(r) => {
            let all = r.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(all.map(|one| one.error_code));
        }
        ResponseKind::FindCoordinator(r) => {
            codes.extend(r.coordinators.iter().map(|one| one.error_code));
        }
        ResponseKind::LeaveGroup(r) => codes.extend(r.members.iter().map(|one| one.error_code)),
        ResponseKind::DescribeGroups(r) => codes.extend(r.groups.iter().map(|one| one.error_code)),
        ResponseKind::DeleteGroups(r) => codes.extend(r.results.iter().map(|one| one.error_code)),
        _ => {}
    }
}

fn of_resources(response: &ResponseKind, codes: &mut BTreeSet<i16>) {
    match response {
        ResponseKind::CreateTopics(r) => codes.extend(r.topics.iter().map(|one| one.error_code)),
        ResponseKind::DeleteTopics(r) => codes.extend(r.responses.iter().map(|one| one.error_code)),
        ResponseKind::CreatePartitions(r) => {
            codes.extend(r.results.iter().map(|one| one.error_code));
        }
        ResponseKind::DescribeConfigs(r) => {
            codes.extend(r.results.iter().map(|one| one.error_code));
        }
        ResponseKind::AlterConfigs(r) => codes.extend(r.responses.iter().map(|one| one.error_code)),
        ResponseKind::IncrementalAlterConfigs(r) => {
            codes.extend(r.responses.iter().map(|one| one.error_code));
        }
        ResponseKind::DescribeLogDirs(r) => {
            codes.extend(r.results.iter().map(|one| one.error_code));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::metadata_response::{
        MetadataResponsePartition, MetadataResponseTopic,
    };
    use kafka_protocol::messages::produce_response::{
        PartitionProduceResponse, TopicProduceResponse,
    };
    use kafka_protocol::messages::{HeartbeatResponse, MetadataResponse, ProduceResponse};

    use super::*;

    #[test]
    fn errors_are_found_at_every_level_and_told_once() {
        let partition = |code| PartitionProduceResponse::default().with_error_code(code);
        let topic = TopicProduceResponse::default().with_partition_responses(vec![
            partition(0),
            partition(3),
            partition(3),
        ]);
        let produce = ProduceResponse::default().with_responses(vec![topic]);
        assert_eq!(error_codes(&ResponseKind::Produce(produce)), [3].into());

        let partition = MetadataResponsePartition::default().with_error_code(5);
        let topic =
            MetadataResponseTopic::default().with_error_code(17).with_partitions(vec![partition]);
        let metadata = MetadataResponse::default().with_error_code(41).with_topics(vec![topic]);
        assert_eq!(error_codes(&ResponseKind::Metadata(metadata)), [5, 17, 41].into());

        let heartbeat = HeartbeatResponse::default().with_error_code(25);
        assert_eq!(error_codes(&ResponseKind::Heartbeat(heartbeat)), [25].into());
        let fine = HeartbeatResponse::default();
        assert_eq!(error_codes(&ResponseKind::Heartbeat(fine)), BTreeSet::new());
    }
}
