//! The settings that have an effect, by what they concern. Kafka's names where Kafka has them.

mod cluster;
mod coordinator;
mod network;
mod operation;
mod store;
mod topics;

pub use cluster::{ListenerTexts, Metadata, Node};
pub use coordinator::{Groups, Producers};
pub use network::{Fetch, Network};
pub use operation::{Admin, LogOutput, Process};
pub use store::{Background, Cache, Storage, Wal};
pub use topics::{LogDefaults, Topics};
