//! The Kafka wire and nothing else: frames with caps, the table of versions, a guarded decode of
//! requests, answers, fetch answers that copy no records, and the records within batches. No I/O.
//!
//! A request goes [`frame`] → [`request`] (header, [`guard`], decoder) → the broker → [`response`]
//! or [`fetch`]. The messages themselves are those of the crate `kafka-protocol`, which is not to
//! be given bytes that the guard has not seen.

pub mod compression;
pub mod fetch;
pub mod frame;
pub mod guard;
pub mod records;
pub mod request;
pub mod response;
mod schema;
#[cfg(test)]
mod testing;
pub mod versions;
mod wire;

pub use kafka_protocol::error::ResponseError;
pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::StrBytes;
