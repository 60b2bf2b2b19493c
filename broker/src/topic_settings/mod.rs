//! The settings of topics: every one that Apache Kafka 4.1 knows is checked, stored and described as
//! Kafka does, also where it has no effect here.
//!
//! `compression.type` is one of the latter. Kafka recompresses batches when it names another codec
//! than the producer used; here batches are stored as they came. Refusing the setting would break the
//! creation of topics by tools that always give it, and no reader depends on it: each batch names
//! its codec.

mod check;
mod config;
mod describe;
pub mod table;

#[cfg(test)]
mod tests;

pub use check::{altered, check, check_all, created, replaced};
pub use config::{TimestampType, TopicConfig};
pub use describe::describe;
