//! Odradek's storage: object stores, write-ahead slots and chains, segments, the catalog of what
//! lies where, reading, flushing, merging and collecting. It knows no Kafka request and no metadata.

pub mod ahead;
pub mod attempt;
pub mod catalog;
pub mod check_store;
pub mod collect;
pub mod copies;
pub mod envelope;
pub mod flush;
pub mod formation;
pub mod index;
pub mod manifest;
pub mod merge;
pub mod metric_names;
pub mod names;
pub mod range;
pub mod reader;
pub mod segment;
pub mod slots;
pub mod store;
pub mod wal;

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod testkit;
