//! A live member of a group.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;

use super::calls::{JoinCall, str_bytes};
use super::records::MemberRecord;
use crate::coordinator::Token;

/// A protocol (assignor) that a member supports, with its subscription under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) name: Arc<str>,
    pub(super) metadata: Bytes,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) instance_id: Option<Arc<str>>,
    client_id: Arc<str>,
    client_host: Arc<str>,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// In the member's order of preference, each name once.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// A JoinGroup that waits for the others.
    pub(super) join: Option<Token>,
    /// A SyncGroup that waits for the leader's.
    pub(super) sync: Option<Token>,
    /// It has never got an answer to a JoinGroup and so cannot send heartbeats.
    pub(super) is_new: bool,
}

impl Member {
    /// A member that has just joined.
    pub(super) fn joining(id: Arc<str>, call: &JoinCall) -> Self {
        let request = &call.request;
        Self {
            id,
            instance_id: request.group_instance_id.as_ref().map(|id| id.as_str().into()),
            client_id: Arc::clone(&call.client_id),
            client_host: Arc::clone(&call.client_host),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: protocols(&request.protocols),
            assignment: Bytes::new(),
            join: None,
            sync: None,
            is_new: true,
        }
    }

    /// A member as it was kept, in a group that chose `protocol`.
    pub(super) fn kept(record: MemberRecord, protocol: &Arc<str>) -> Self {
        Self {
            id: record.id,
            instance_id: record.instance_id,
            client_id: record.client_id,
            client_host: record.client_host,
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            session_timeout_ms: record.session_timeout_ms,
            protocols: vec![Protocol { name: Arc::clone(protocol), metadata: record.subscription }],
            assignment: record.assignment,
            join: None,
            sync: None,
            is_new: false,
        }
    }

    /// As it is kept in a group that chose `protocol`.
    pub(super) fn record(&self, protocol: &str) -> MemberRecord {
        MemberRecord {
            id: Arc::clone(&self.id),
            instance_id: self.instance_id.clone(),
            client_id: Arc::clone(&self.client_id),
            client_host: Arc::clone(&self.client_host),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    /// Takes over what a JoinGroup says.
    pub(super) fn update(&mut self, request: &JoinGroupRequest) {
        self.protocols = protocols(&request.protocols);
        self.rebalance_timeout_ms = request.rebalance_timeout_ms;
        self.session_timeout_ms = request.session_timeout_ms;
    }

    /// Bytes of memory that it takes, by and large, its assignment aside.
    pub(super) fn memory_bytes(&self) -> usize {
        const MEMBER: usize = 512;
        const PROTOCOL: usize = 128;
        let protocol = |p: &Protocol| PROTOCOL + p.name.len() + p.metadata.len();
        MEMBER + 2 * self.id.len() + self.protocols.iter().map(protocol).sum::<usize>()
    }

    /// Its subscription under `protocol`, empty if it does not support it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|p| &*p.name == protocol);
        found.map(|p| p.metadata.clone()).unwrap_or_default()
    }

    /// Whether a JoinGroup says nothing new.
    pub(super) fn matches(&self, offered: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols == protocols(offered)
    }

    /// Whether the session time-out is to be ignored: it waits for the others, and its session
    /// begins anew when it is answered. A new member cannot wait for ever: its client may have
    /// gone, to come back under another id.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    /// For DescribeGroups; `protocol` and the assignment are shown of stable groups only.
    pub(super) fn describe(&self, protocol: Option<&str>) -> DescribedGroupMember {
        let described = DescribedGroupMember::default()
            .with_member_id(str_bytes(&self.id))
            .with_group_instance_id(self.instance_id.as_deref().map(str_bytes))
            .with_client_id(str_bytes(&self.client_id))
            .with_client_host(str_bytes(&self.client_host));
        match protocol {
            Some(protocol) => described
                .with_member_metadata(self.metadata(protocol))
                .with_member_assignment(self.assignment.clone()),
            None => described,
        }
    }
}

/// Copies what a request offers, each name once: a slice of the request would pin its frame.
pub(super) fn protocols(offered: &[JoinGroupRequestProtocol]) -> Vec<Protocol> {
    let mut protocols: Vec<Protocol> = Vec::with_capacity(offered.len());
    let mut names = std::collections::HashSet::new();
    for protocol in offered {
        if names.insert(protocol.name.as_str()) {
            let metadata = Bytes::copy_from_slice(&protocol.metadata);
            protocols.push(Protocol { name: protocol.name.as_str().into(), metadata });
        }
    }
    protocols
}
