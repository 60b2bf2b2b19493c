//! The load driver: an open loop, so that a slow answer does not hold back the records after it, and
//! every latency counts from when its record was to be sent.

pub mod batch;
pub mod cluster;
pub mod connection;
pub mod consumer;
#[cfg(test)]
mod fake;
pub mod lane;
pub mod options;
pub mod plot;
pub mod producer;
pub mod queues;
pub mod recorder;
pub mod report;
pub mod routes;
pub mod run;
pub mod schedule;
pub mod shared;
pub mod stall;
