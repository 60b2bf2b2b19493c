//! The same load on Odradek and on Apache Kafka, one after the other in alternating rounds on the
//! same filesystem, with what each broker spends on it.

pub mod device;
pub mod java;
pub mod kafka;
pub mod options;
pub mod parse;
pub mod phase;
pub mod results;
pub mod rounds;
pub mod server;
pub mod usage;
