//! Odradek's storage: object stores, write-ahead slots and chains, segments, the catalog of what
//! lies where, reading, flushing, merging and collecting. It knows no Kafka request and no metadata.

pub mod envelope;
pub mod names;
pub mod range;
