//! The leaders that an answer names beside the errors that say a partition is led elsewhere, so that
//! clients go there without asking for metadata first (KIP-951).

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_common::ids::TopicPartition;
use odradek_metadata::Image;
use odradek_protocol::fetch::CurrentLeader;

use crate::endpoints;

/// Where a leader is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The broker.
    pub id: i32,
    /// Its host, at the listener that the client came through.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its rack.
    pub rack: Option<String>,
}

/// The leaders named in one answer.
#[derive(Debug)]
pub struct Leaders {
    image: Arc<Image>,
    listener: Arc<str>,
    nodes: BTreeMap<i32, Node>,
}

impl Leaders {
    /// Those that `image` knows, at their listener of this name.
    #[must_use]
    pub fn new(image: Arc<Image>, listener: Arc<str>) -> Self {
        Self { image, listener, nodes: BTreeMap::new() }
    }

    /// Who leads a partition, for the answer: -1 where that is not known or nobody does.
    pub fn name(&mut self, at: TopicPartition) -> CurrentLeader {
        let Some(partition) = self.image.partition(at) else {
            return CurrentLeader { leader_id: -1, leader_epoch: -1 };
        };
        let leader_epoch = partition.leader_epoch.0;
        let owner = self.image.registration(partition.owner).filter(|owner| owner.is_live());
        let Some(owner) = owner else { return CurrentLeader { leader_id: -1, leader_epoch } };
        let leader_id = owner.incarnation.broker.0;
        if let Some(listener) = endpoints::of(owner, &self.listener) {
            self.nodes.entry(leader_id).or_insert_with(|| Node {
                id: leader_id,
                host: listener.host.clone(),
                port: listener.port,
                rack: owner.rack.clone(),
            });
        }
        CurrentLeader { leader_id, leader_epoch }
    }

    /// Where the leaders named are, each once.
    #[must_use]
    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes.into_values().collect()
    }
}
