//! Identities that only the metadata knows.

use std::fmt;

use odradek_common::ids::{BrokerEpoch, BrokerId};

/// One registration of a broker: what may own partitions and write chains. A broker that registers
/// anew is another incarnation, and the one before is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// The broker.
    pub broker: BrokerId,
    /// The epoch of the registration: the Raft index of its entry.
    pub epoch: BrokerEpoch,
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broker {} epoch {}", self.broker.0, self.epoch.0)
    }
}

/// The id of a data directory (Kafka's `directory.id`): made once with the directory, so that a
/// wiped disk is never taken for the one that it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(pub uuid::Uuid);

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&odradek_common::ids::base64_url(self.0.as_bytes()))
    }
}

/// A member of the metadata quorum (KIP-853): a node with its data directory. A node that comes back
/// with another directory is another member: it forgot what the former one promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    /// The node (`node.id`).
    pub node: BrokerId,
    /// Its data directory.
    pub directory: DirectoryId,
}

impl Default for ReplicaKey {
    /// Nobody: what Raft has before the first leader.
    fn default() -> Self {
        Self { node: BrokerId(-1), directory: DirectoryId(uuid::Uuid::nil()) }
    }
}

impl fmt::Display for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.node.0, self.directory)
    }
}

/// Where a node's CONTROLLER listener is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A member of the quorum and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter {
    /// Who it is.
    pub key: ReplicaKey,
    /// Where it is reached.
    pub endpoint: Endpoint,
}
