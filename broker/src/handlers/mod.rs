//! One file an API family. A handler fixes the request's place before it returns; what it has to
//! wait for (a slot, a watermark, a rebalance) is in the answer.

mod api_versions;
mod cluster;
mod configs;
mod elections;
mod fetch;
mod groups;
mod list_offsets;
mod metadata;
mod offsets;
mod once;
mod operations;
mod produce;
mod producers;
mod quorum;
mod reassignments;
mod records;
mod refused;
#[cfg(test)]
mod testing;
mod topics;
mod voters;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use kafka_protocol::protocol::StrBytes;
use odradek_protocol::fetch::{self as wire_fetch, FetchAnswer};
use odradek_protocol::request::RequestHeader;
use odradek_protocol::response::{self, EncodeError};

use crate::core::Core;
use crate::metric_names;
use crate::server::budget::{AnswerGrant, RequestLease};

pub use refused::RefusedBatches;

/// A request that was read and not yet answered; it is as long as this is.
#[derive(Debug)]
struct InFlight(());

impl InFlight {
    fn begin() -> Self {
        metrics::gauge!(metric_names::REQUESTS_IN_FLIGHT).increment(1.0);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!(metric_names::REQUESTS_IN_FLIGHT).decrement(1.0);
    }
}

/// Whom a request comes from, and how its answer is encoded.
#[derive(Debug)]
pub struct Context {
    /// The API asked.
    pub api: ApiKey,
    /// In which version.
    pub version: i16,
    /// The number by which the client knows the answer.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: String,
    /// Bytes of the request's frame, all of which whatever is sliced from it keeps in memory.
    pub frame_bytes: usize,
    /// What it holds of the memory of all requests; given up before an answer waits to be written.
    pub lease: Option<Arc<RequestLease>>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The listener it came through: answers name the brokers' addresses of this listener.
    pub listener: Arc<str>,
    _in_flight: InFlight,
}

impl Context {
    /// Of a request that came from `peer`.
    #[must_use]
    pub fn of(header: &RequestHeader, peer: SocketAddr, listener: &Arc<str>) -> Self {
        Self {
            api: header.api,
            version: header.version,
            correlation_id: header.correlation_id,
            client_id: header.client_id.as_ref().map(|id| id.to_string()).unwrap_or_default(),
            frame_bytes: 0,
            lease: None,
            peer,
            listener: listener.clone(),
            _in_flight: InFlight::begin(),
        }
    }

    /// Of an ApiVersions request in a version that is not served, answered in version 0.
    #[must_use]
    pub fn of_api_versions(correlation_id: i32, peer: SocketAddr, listener: &Arc<str>) -> Self {
        let (api, client_id) = (ApiKey::ApiVersions, String::new());
        let (listener, _in_flight) = (listener.clone(), InFlight::begin());
        let (version, frame_bytes, lease) = (0, 0, None);
        Self {
            api,
            version,
            correlation_id,
            client_id,
            frame_bytes,
            lease,
            peer,
            listener,
            _in_flight,
        }
    }
}

/// What becomes of a request.
pub enum Answer {
    /// This.
    Ready(Body),
    /// This, when it is due.
    Later(BoxFuture<'static, Body>),
    /// Nothing: Produce with `acks=0`.
    Nothing,
    /// The connection is closed: an error that cannot be answered.
    Close,
}

/// The body of an answer.
pub enum Body {
    /// Of any API but Fetch.
    Kind(Box<ResponseKind>),
    /// Of Fetch, whose records are not copied, with its share of the budget.
    Fetch(Box<FetchAnswer>, AnswerGrant),
    /// Encoded already.
    Frame(Bytes),
}

impl Body {
    /// A body of one of the crate's messages.
    pub fn of(response: impl Into<ResponseKind>) -> Self {
        Self::Kind(Box::new(response.into()))
    }

    /// The error codes in it.
    #[must_use]
    pub fn errors(&self) -> BTreeSet<i16> {
        match self {
            Self::Kind(body) => metric_names::error_codes(body),
            Self::Fetch(body, _) => {
                let partitions = body.topics.iter().flat_map(|t| &t.partitions);
                let codes = partitions.map(|p| p.error_code).chain([body.error_code]);
                codes.filter(|code| *code != 0).collect()
            }
            Self::Frame(_) => BTreeSet::from([ResponseError::UnsupportedVersion.code()]),
        }
    }

    /// The frame, length first, as chunks.
    ///
    /// # Errors
    /// If the body cannot be said in the version asked for.
    pub fn encode(&self, context: &Context) -> Result<Vec<Bytes>, EncodeError> {
        let chunks = self.chunks(context)?;
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        metrics::counter!(metric_names::SENT_BYTES).increment(bytes as u64);
        Ok(chunks)
    }

    fn chunks(&self, context: &Context) -> Result<Vec<Bytes>, EncodeError> {
        match self {
            Self::Kind(body) => {
                let Context { api, version, correlation_id, .. } = *context;
                Ok(vec![response::encode(api, version, correlation_id, body)?])
            }
            Self::Fetch(body, _) => {
                let Context { version, correlation_id, .. } = *context;
                Ok(wire_fetch::encode(version, correlation_id, body)?.chunks)
            }
            Self::Frame(frame) => Ok(vec![frame.clone()]),
        }
    }
}

/// Takes up a request of a connection, on which the batches in `refused` were.
pub async fn handle(
    core: &Arc<Core>,
    context: &Context,
    refused: &mut RefusedBatches,
    request: RequestKind,
) -> Answer {
    let body = match request {
        RequestKind::Produce(r) => return produce::produce(core, context, refused, r).await,
        RequestKind::Fetch(r) => return fetch::fetch(core, context, r),
        RequestKind::JoinGroup(_)
        | RequestKind::SyncGroup(_)
        | RequestKind::Heartbeat(_)
        | RequestKind::LeaveGroup(_)
        | RequestKind::OffsetCommit(_)
        | RequestKind::OffsetFetch(_)
        | RequestKind::OffsetDelete(_)
        | RequestKind::ListGroups(_)
        | RequestKind::DescribeGroups(_)
        | RequestKind::DeleteGroups(_) => return groups::handle(core, context, request).await,
        RequestKind::ElectLeaders(r) => return elections::elect_leaders(core, r),
        RequestKind::AddRaftVoter(r) => return voters::add_raft_voter(core, context.peer, r),
        RequestKind::RemoveRaftVoter(r) => return voters::remove_raft_voter(core, context.peer, r),
        RequestKind::ApiVersions(r) => Body::of(api_versions::api_versions(context, &r)),
        RequestKind::Metadata(r) => Body::of(metadata::metadata(core, context, r).await),
        RequestKind::DescribeTopicPartitions(r) => {
            Body::of(metadata::describe_topic_partitions(core, r))
        }
        RequestKind::DescribeCluster(r) => Body::of(cluster::describe_cluster(core, context, &r)),
        RequestKind::DescribeLogDirs(r) => Body::of(cluster::describe_log_dirs(core, r).await),
        RequestKind::UnregisterBroker(r) => Body::of(cluster::unregister_broker(core, r).await),
        RequestKind::DescribeQuorum(r) => {
            Body::of(quorum::describe_quorum(core, context.version, r).await)
        }
        RequestKind::AlterPartitionReassignments(r) => {
            Body::of(reassignments::alter_partition_reassignments(core, r).await)
        }
        RequestKind::ListPartitionReassignments(r) => {
            Body::of(reassignments::list_partition_reassignments(core, r))
        }
        RequestKind::DescribeAcls(_) => Body::of(cluster::describe_acls()),
        RequestKind::FindCoordinator(r) => {
            Body::of(groups::find_coordinator(core, context, r).await)
        }
        RequestKind::ListOffsets(r) => {
            Body::of(list_offsets::list_offsets(core, context.version, r).await)
        }
        RequestKind::OffsetForLeaderEpoch(r) => {
            Body::of(list_offsets::offset_for_leader_epoch(core, r).await)
        }
        RequestKind::InitProducerId(r) => Body::of(producers::init_producer_id(core, r).await),
        RequestKind::DescribeProducers(r) => Body::of(producers::describe_producers(core, r).await),
        RequestKind::CreateTopics(r) => {
            Body::of(topics::create_topics(core, context.version, r).await)
        }
        RequestKind::DeleteTopics(r) => {
            Body::of(topics::delete_topics(core, context.version, r).await)
        }
        RequestKind::CreatePartitions(r) => Body::of(topics::create_partitions(core, r).await),
        RequestKind::DeleteRecords(r) => Body::of(records::delete_records(core, r).await),
        RequestKind::DescribeConfigs(r) => Body::of(configs::describe_configs(core, r)),
        RequestKind::AlterConfigs(r) => Body::of(configs::alter_configs(core, r).await),
        RequestKind::IncrementalAlterConfigs(r) => {
            Body::of(configs::incremental_alter_configs(core, r).await)
        }
        RequestKind::ListConfigResources(r) => {
            Body::of(configs::list_config_resources(core, context.version, &r))
        }
        // The table of versions lets nothing else through the decoder.
        _ => return Answer::Close,
    };
    Answer::Ready(body)
}

/// A text of an answer.
#[must_use]
pub fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}
