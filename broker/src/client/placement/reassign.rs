//! `odradek cluster reassign`.

use std::io::Write;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
    ListPartitionReassignmentsRequest,
};
use odradek_common::limits::{CLIENT_BROKER_WAIT_MS, CLIENT_MOVE_WAIT_MS};

use crate::cli::ReassignArgs;
use crate::client::cluster::{Cluster, Patience, topic_name};
use crate::client::{ClientError, note};

/// Runs the command.
///
/// # Errors
/// See [`ClientError`].
pub(super) async fn run(args: &ReassignArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let mut cluster = Cluster::at(&args.at.bootstrap);
    let topic = cluster.topic(&args.topic, false).await?;
    let mut indexes = args.partitions.clone();
    if indexes.is_empty() {
        indexes.extend(topic.partitions.iter().map(|partition| partition.partition_index));
    }
    let answer = cluster.any(&request(args, &indexes)).await?;
    check(&args.topic, &answer)?;
    if args.cancel {
        writeln!(out, "{}: taken back", args.topic)?;
        return Ok(());
    }
    let listed = ListPartitionReassignmentsTopics::default()
        .with_name(topic_name(&args.topic))
        .with_partition_indexes(indexes.clone());
    let listed = ListPartitionReassignmentsRequest::default()
        .with_topics(Some(vec![listed]))
        .with_timeout_ms(CLIENT_BROKER_WAIT_MS);
    let mut patience = Patience::of_ms(CLIENT_MOVE_WAIT_MS);
    loop {
        let answer = cluster.any(&listed).await?;
        let what = format!("reassign {}", args.topic);
        ClientError::check(&what, answer.error_code, answer.error_message.as_ref())?;
        let count = answer.topics.iter().map(|topic| topic.partitions.len()).sum();
        if count == 0 {
            writeln!(out, "{}: {} partitions reassigned", args.topic, indexes.len())?;
            return Ok(());
        }
        patience.bear(ClientError::NotMoved { what, count }).await?;
    }
}

fn request(args: &ReassignArgs, indexes: &[i32]) -> AlterPartitionReassignmentsRequest {
    let partitions = indexes.iter().enumerate().map(|(turn, index)| {
        let replicas = (!args.cancel).then(|| rotated(&args.replicas, turn));
        ReassignablePartition::default().with_partition_index(*index).with_replicas(replicas)
    });
    let topic = ReassignableTopic::default()
        .with_name(topic_name(&args.topic))
        .with_partitions(partitions.collect());
    AlterPartitionReassignmentsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(CLIENT_BROKER_WAIT_MS)
}

/// The brokers, from the one on whose turn it is.
fn rotated(brokers: &[i32], turn: usize) -> Vec<BrokerId> {
    let first = turn % brokers.len().max(1);
    brokers.iter().cycle().skip(first).take(brokers.len()).map(|id| BrokerId(*id)).collect()
}

fn check(topic: &str, answer: &AlterPartitionReassignmentsResponse) -> Result<(), ClientError> {
    let what = format!("reassign {topic}");
    ClientError::check(what, answer.error_code, answer.error_message.as_ref())?;
    let mut failed = None;
    for one in answer.responses.iter().flat_map(|topic| &topic.partitions) {
        let what = format!("reassign {topic}-{}", one.partition_index);
        let checked = ClientError::check(what, one.error_code, one.error_message.as_ref());
        // The last error is the command's; those before it are told here.
        if let Err(error) = checked
            && let Some(earlier) = failed.replace(error)
        {
            note(&earlier.to_string());
        }
    }
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, ClusterCommand, Command};

    fn replicas(line: &str, indexes: &[i32]) -> Vec<(i32, Option<Vec<i32>>)> {
        let Command::Cluster(ClusterCommand::Reassign(args)) =
            Cli::try_parse_from(line.split(' ')).unwrap().asked()
        else {
            panic!("{line}")
        };
        let topic = request(&args, indexes).topics.remove(0);
        let ids = |brokers: Vec<BrokerId>| brokers.into_iter().map(|id| id.0).collect();
        topic.partitions.into_iter().map(|p| (p.partition_index, p.replicas.map(ids))).collect()
    }

    #[test]
    fn each_partition_begins_with_the_next_broker() {
        let asked = replicas("odradek cluster reassign t -r 1,2", &[0, 4, 5]);
        let of = |index, brokers: [i32; 2]| (index, Some(brokers.to_vec()));
        assert_eq!(asked, [of(0, [1, 2]), of(4, [2, 1]), of(5, [1, 2])]);
    }

    #[test]
    fn to_take_back_is_to_name_no_replicas() {
        assert_eq!(replicas("odradek cluster reassign t --cancel", &[3]), [(3, None)]);
    }
}
