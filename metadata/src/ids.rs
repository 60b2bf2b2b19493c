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
