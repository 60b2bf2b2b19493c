//! `odradek cluster status`.

use std::io::{self, Write};

use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, ListPartitionReassignmentsRequest,
};
use serde_json::{Value, json};

use crate::cli::StatusArgs;
use crate::client::ClientError;
use crate::client::cluster::{Cluster, host_and_port};

/// Endpoint type of brokers (KIP-919).
const BROKERS: i8 = 1;

/// Runs the command.
///
/// # Errors
/// See [`ClientError`].
pub(super) async fn run(args: &StatusArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let status = Status::ask(&mut Cluster::at(&args.at.bootstrap)).await?;
    if args.json {
        writeln!(out, "{}", status.as_json())?;
    } else {
        status.print(out)?;
    }
    Ok(())
}

/// What is known of a cluster.
#[derive(Debug)]
struct Status {
    cluster: DescribeClusterResponse,
    partitions: Vec<MetadataResponsePartition>,
    /// How many partitions are being reassigned.
    moving: usize,
}

impl Status {
    async fn ask(cluster: &mut Cluster) -> Result<Self, ClientError> {
        let request = DescribeClusterRequest::default()
            .with_endpoint_type(BROKERS)
            .with_include_fenced_brokers(true);
        let described = cluster.any(&request).await?;
        let message = described.error_message.as_ref();
        ClientError::check("describe the cluster", described.error_code, message)?;
        let topics = cluster.metadata(None, false).await?.topics;
        let request = ListPartitionReassignmentsRequest::default().with_topics(None);
        let moving = cluster.any(&request).await?;
        let message = moving.error_message.as_ref();
        ClientError::check("list reassignments", moving.error_code, message)?;
        Ok(Self {
            cluster: described,
            partitions: topics.into_iter().flat_map(|topic| topic.partitions).collect(),
            moving: moving.topics.iter().map(|topic| topic.partitions.len()).sum(),
        })
    }

    /// How many partitions a broker leads, and of how many it is a replica.
    fn shares(&self, broker: i32) -> (usize, usize) {
        let leads = |p: &&MetadataResponsePartition| *p.leader_id == broker;
        let holds =
            |p: &&MetadataResponsePartition| p.replica_nodes.iter().any(|node| **node == broker);
        let all = self.partitions.iter();
        (all.clone().filter(leads).count(), all.filter(holds).count())
    }

    fn without_leader(&self) -> usize {
        self.partitions.iter().filter(|p| *p.leader_id < 0).count()
    }

    fn not_preferred(&self) -> usize {
        let is_elsewhere = |p: &&MetadataResponsePartition| {
            *p.leader_id >= 0 && p.replica_nodes.first() != Some(&p.leader_id)
        };
        self.partitions.iter().filter(is_elsewhere).count()
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { cluster, .. } = self;
        writeln!(
            out,
            "cluster {}, controller {}",
            cluster.cluster_id.as_str(),
            *cluster.controller_id
        )?;
        writeln!(
            out,
            "  {:>6}  {:<28}  {:<12}  {:<6}  {:>6}  {:>8}",
            "BROKER", "ADDRESS", "RACK", "STATE", "LEADS", "REPLICAS"
        )?;
        for broker in &cluster.brokers {
            let (leads, replicas) = self.shares(*broker.broker_id);
            writeln!(
                out,
                "  {:>6}  {:<28}  {:<12}  {:<6}  {leads:>6}  {replicas:>8}",
                *broker.broker_id,
                host_and_port(broker.host.as_str(), broker.port),
                broker.rack.as_ref().map_or("-", |rack| rack.as_str()),
                state(broker.is_fenced),
            )?;
        }
        writeln!(
            out,
            "partitions {}, without a leader {}, not with their first replica {}, being reassigned {}",
            self.partitions.len(),
            self.without_leader(),
            self.not_preferred(),
            self.moving
        )
    }

    fn as_json(&self) -> Value {
        let brokers = self.cluster.brokers.iter().map(|broker| {
            let (leads, replicas) = self.shares(*broker.broker_id);
            json!({
                "id": *broker.broker_id,
                "address": host_and_port(broker.host.as_str(), broker.port),
                "rack": broker.rack.as_ref().map(|rack| rack.as_str()),
                "state": state(broker.is_fenced),
                "leads": leads,
                "replicas": replicas,
            })
        });
        json!({
            "cluster": self.cluster.cluster_id.as_str(),
            "controller": *self.cluster.controller_id,
            "brokers": brokers.collect::<Vec<_>>(),
            "partitions": self.partitions.len(),
            "withoutLeader": self.without_leader(),
            "notWithFirstReplica": self.not_preferred(),
            "beingReassigned": self.moving,
        })
    }
}

fn state(is_fenced: bool) -> &'static str {
    if is_fenced { "fenced" } else { "live" }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn status() -> Status {
        let broker = |id: i32, is_fenced| {
            DescribeClusterBroker::default()
                .with_broker_id(id.into())
                .with_host(StrBytes::from_static_str("host"))
                .with_port(9092)
                .with_is_fenced(is_fenced)
        };
        let partition = |leader: i32, replicas: &[i32]| {
            MetadataResponsePartition::default()
                .with_leader_id(leader.into())
                .with_replica_nodes(replicas.iter().map(|id| (*id).into()).collect())
        };
        let cluster = DescribeClusterResponse::default()
            .with_cluster_id(StrBytes::from_static_str("c"))
            .with_controller_id(1.into())
            .with_brokers(vec![broker(1, false), broker(2, true)]);
        let partitions = vec![partition(1, &[1, 2]), partition(1, &[2, 1]), partition(-1, &[2])];
        Status { cluster, partitions, moving: 4 }
    }

    #[test]
    fn a_status_is_a_table() {
        let mut out = Vec::new();
        status().print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[2], ["1", "host:9092", "-", "live", "2", "2"]);
        assert_eq!(rows[3], ["2", "host:9092", "-", "fenced", "0", "3"]);
        let last =
            "partitions 3, without a leader 1, not with their first replica 1, being reassigned 4";
        assert_eq!(text.lines().last(), Some(last));
    }

    #[test]
    fn a_status_is_json() {
        let value = status().as_json();
        assert_eq!((&value["withoutLeader"], &value["beingReassigned"]), (&json!(1), &json!(4)));
        assert_eq!(value["brokers"][1]["state"], "fenced");
    }
}
