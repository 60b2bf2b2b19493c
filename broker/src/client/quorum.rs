//! `odradek quorum`: describe, add and remove.

use std::io::{self, Write};
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_raft_voter_request::Listener;
use kafka_protocol::messages::describe_quorum_request;
use kafka_protocol::messages::describe_quorum_response::{Node, PartitionData, ReplicaState};
use kafka_protocol::messages::{
    AddRaftVoterRequest, DescribeQuorumRequest, DescribeQuorumResponse, RemoveRaftVoterRequest,
};
use kafka_protocol::protocol::StrBytes;
use odradek_common::ids::base64_url;
use odradek_common::limits::CLIENT_VOTER_WAIT_MS;
use serde_json::{Value, json};

use super::ClientError;
use super::cluster::{Cluster, host_and_port, topic_name};
use super::connection::Spoken;
use crate::cli::{AddVoterArgs, DescribeQuorumArgs, QuorumCommand, RemoveVoterArgs};

/// The log of the metadata, as Kafka names it.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Runs the command.
///
/// # Errors
/// See [`ClientError`].
pub(super) async fn run(command: QuorumCommand, out: &mut impl Write) -> Result<(), ClientError> {
    match command {
        QuorumCommand::Describe(args) => describe(&args, out).await,
        QuorumCommand::Add(args) => add(&args, out).await,
        QuorumCommand::Remove(args) => remove(&args, out).await,
    }
}

async fn describe(args: &DescribeQuorumArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let quorum = Quorum::ask(&mut Cluster::at(&args.at.bootstrap), &args.at.bootstrap).await?;
    if args.json {
        writeln!(out, "{}", quorum.as_json())?;
    } else {
        quorum.print(out)?;
    }
    Ok(())
}

async fn add(args: &AddVoterArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let answer = Cluster::at(&args.at.bootstrap).any_within(&add_request(args), patience()).await?;
    let what = format!("make a voter of node {}", args.node);
    ClientError::check(what, answer.error_code, answer.error_message.as_ref())?;
    writeln!(out, "node {} votes", args.node)?;
    Ok(())
}

fn add_request(args: &AddVoterArgs) -> AddRaftVoterRequest {
    let (host, port) = &args.endpoint;
    let listener = Listener::default()
        .with_name(StrBytes::from_string(args.listener.clone()))
        .with_host(StrBytes::from_string(host.clone()))
        .with_port(*port);
    AddRaftVoterRequest::default()
        .with_cluster_id(None)
        .with_timeout_ms(i32::try_from(CLIENT_VOTER_WAIT_MS).unwrap_or(i32::MAX))
        .with_voter_id(args.node)
        .with_voter_directory_id(args.directory)
        .with_listeners(vec![listener])
}

async fn remove(args: &RemoveVoterArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let mut cluster = Cluster::at(&args.at.bootstrap);
    let what = format!("take the vote from node {}", args.node);
    let directory = match args.directory {
        Some(directory) => directory,
        None => {
            let quorum = Quorum::ask(&mut cluster, &args.at.bootstrap).await?;
            let voter = quorum.of.current_voters.iter().find(|one| *one.replica_id == args.node);
            let missing = || ClientError::refused(&what, ResponseError::VoterNotFound);
            voter.ok_or_else(missing)?.replica_directory_id
        }
    };
    let request = RemoveRaftVoterRequest::default()
        .with_cluster_id(None)
        .with_voter_id(args.node)
        .with_voter_directory_id(directory);
    let answer = cluster.any_within(&request, patience()).await?;
    ClientError::check(what, answer.error_code, answer.error_message.as_ref())?;
    writeln!(out, "node {} votes no more", args.node)?;
    Ok(())
}

fn patience() -> Duration {
    Duration::from_millis(CLIENT_VOTER_WAIT_MS)
}

/// What is known of the quorum.
#[derive(Debug)]
struct Quorum {
    of: PartitionData,
    nodes: Vec<Node>,
}

impl Quorum {
    async fn ask(cluster: &mut Cluster, bootstrap: &str) -> Result<Self, ClientError> {
        let partitions = vec![describe_quorum_request::PartitionData::default()];
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(topic_name(METADATA_TOPIC))
            .with_partitions(partitions);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        Self::of(cluster.any(&request).await?, bootstrap)
    }

    fn of(answer: DescribeQuorumResponse, bootstrap: &str) -> Result<Self, ClientError> {
        let what = "describe the quorum";
        ClientError::check(what, answer.error_code, answer.error_message.as_ref())?;
        let of = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let of = of.ok_or_else(|| ClientError::Malformed {
            address: bootstrap.to_owned(),
            api: DescribeQuorumRequest::NAME,
            reason: "it has no partition".to_owned(),
        })?;
        ClientError::check(what, of.error_code, of.error_message.as_ref())?;
        Ok(Self { of, nodes: answer.nodes })
    }

    /// Everybody with what they are.
    fn members(&self) -> impl Iterator<Item = (&ReplicaState, &'static str)> {
        let role = |voter: &ReplicaState| match voter.replica_id == self.of.leader_id {
            true => "leader",
            false => "voter",
        };
        let voters = self.of.current_voters.iter().map(move |voter| (voter, role(voter)));
        voters.chain(self.of.observers.iter().map(|observer| (observer, "observer")))
    }

    fn leader(&self) -> Option<&ReplicaState> {
        self.of.current_voters.iter().find(|voter| voter.replica_id == self.of.leader_id)
    }

    /// How many entries a member lacks, and how many milliseconds ago it last lacked none, as far as
    /// that is known.
    fn behind(&self, member: &ReplicaState) -> (Option<i64>, Option<i64>) {
        let less = |of_leader: i64, of_member: i64| {
            (of_leader >= 0 && of_member >= 0).then(|| (of_leader - of_member).max(0))
        };
        let Some(leader) = self.leader() else { return (None, None) };
        let lag = less(leader.log_end_offset, member.log_end_offset);
        (lag, less(leader.last_fetch_timestamp, member.last_caught_up_timestamp))
    }

    fn endpoint(&self, member: &ReplicaState) -> Option<String> {
        let node = self.nodes.iter().find(|node| node.node_id == member.replica_id)?;
        let listener = node.listeners.first()?;
        Some(host_and_port(listener.host.as_str(), listener.port.into()))
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { of, .. } = self;
        let (leader, epoch) = (*of.leader_id, of.leader_epoch);
        writeln!(out, "leader {leader}, epoch {epoch}, high watermark {}", of.high_watermark)?;
        writeln!(
            out,
            "  {:>6}  {:<22}  {:<8}  {:>10}  {:>8}  {:>9}  ENDPOINT",
            "NODE", "DIRECTORY", "ROLE", "END", "LAG", "BEHIND MS"
        )?;
        for (member, role) in self.members() {
            let known = |number: Option<i64>| number.map_or("-".to_owned(), |n| n.to_string());
            let (lag, behind_ms) = self.behind(member);
            writeln!(
                out,
                "  {:>6}  {:<22}  {role:<8}  {:>10}  {:>8}  {:>9}  {}",
                *member.replica_id,
                directory(member),
                known((member.log_end_offset >= 0).then_some(member.log_end_offset)),
                known(lag),
                known(behind_ms),
                self.endpoint(member).unwrap_or("-".to_owned())
            )?;
        }
        Ok(())
    }

    fn as_json(&self) -> Value {
        let members = self.members().map(|(member, role)| {
            let (lag, behind_ms) = self.behind(member);
            json!({
                "node": *member.replica_id,
                "directory": directory(member),
                "role": role,
                "end": (member.log_end_offset >= 0).then_some(member.log_end_offset),
                "lag": lag,
                "behindMs": behind_ms,
                "endpoint": self.endpoint(member),
            })
        });
        json!({
            "leader": *self.of.leader_id,
            "epoch": self.of.leader_epoch,
            "highWatermark": self.of.high_watermark,
            "members": members.collect::<Vec<_>>(),
        })
    }
}

fn directory(member: &ReplicaState) -> String {
    base64_url(member.replica_directory_id.as_bytes())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_quorum_response;
    use uuid::Uuid;

    use super::*;

    fn quorum() -> Quorum {
        let replica = |id: i32, end, fetched, caught_up| {
            ReplicaState::default()
                .with_replica_id(id.into())
                .with_replica_directory_id(Uuid::from_u128(1))
                .with_log_end_offset(end)
                .with_last_fetch_timestamp(fetched)
                .with_last_caught_up_timestamp(caught_up)
        };
        let of = PartitionData::default()
            .with_leader_id(1.into())
            .with_leader_epoch(4)
            .with_high_watermark(9)
            .with_current_voters(vec![replica(1, 10, 500, 500), replica(2, 8, 490, 400)])
            .with_observers(vec![replica(7, -1, -1, -1)]);
        let listener = describe_quorum_response::Listener::default()
            .with_host(StrBytes::from_static_str("one"))
            .with_port(9093);
        let node = Node::default().with_node_id(1.into()).with_listeners(vec![listener]);
        Quorum { of, nodes: vec![node] }
    }

    #[test]
    fn a_quorum_is_a_table() {
        let mut out = Vec::new();
        quorum().print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(text.lines().next(), Some("leader 1, epoch 4, high watermark 9"));
        let id = "AAAAAAAAAAAAAAAAAAAAAQ";
        assert_eq!(rows[2], ["1", id, "leader", "10", "0", "0", "one:9093"]);
        assert_eq!(rows[3], ["2", id, "voter", "8", "2", "100", "-"]);
        assert_eq!(rows[4], ["7", id, "observer", "-", "-", "-", "-"]);
    }

    #[test]
    fn a_quorum_is_json() {
        let value = quorum().as_json();
        assert_eq!(value["members"][1]["lag"], 2);
        assert_eq!(value["members"][2]["end"], Value::Null);
        assert_eq!(value["members"][0]["endpoint"], "one:9093");
    }

    #[test]
    fn an_answer_without_the_partition_is_none() {
        let none = Quorum::of(DescribeQuorumResponse::default(), "b:1").unwrap_err();
        assert!(matches!(none, ClientError::Malformed { .. }), "{none}");
        let refused = DescribeQuorumResponse::default().with_error_code(6);
        assert!(Quorum::of(refused, "b:1").unwrap_err().is_transient());
    }
}
