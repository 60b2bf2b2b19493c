//! The group coordinator: classic consumer groups and committed offsets, as Apache Kafka 4.1 serves
//! them, on the coordinator runtime.
//!
//! [`GroupService`] maps requests to the shard of their group and back. A shard's state machine
//! ([`GroupMachine`]) is pure; its records have Kafka's own formats ([`records`]).

mod admin;
mod calls;
mod classic;
mod context;
mod gauges;
mod join;
mod machine;
mod member;
mod offsets;
mod parked;
mod rebalance;
pub mod records;
mod service;
mod session;
mod settings;
mod state;
mod statics;
mod store;
mod subscription;
mod sync;

#[cfg(test)]
mod tests;

pub use calls::{Answer, CommitCall, CommittedOffset, FetchCall, JoinCall, Request};
pub use gauges::{GroupCounts, ShardGauges};
pub use machine::GroupMachine;
pub use service::{Deferred, GroupService, partition_of};
pub use settings::GroupSettings;
pub use state::GroupState;
pub use store::{Cursor, Store};
