//! The load driver: an open loop, so that a slow answer does not hold back the records after it, and
//! every latency counts from when its record was to be sent.

pub mod batch;
pub mod connection;
pub mod consumer;
pub mod options;
pub mod plot;
pub mod producer;
pub mod recorder;
pub mod report;
pub mod run;
pub mod schedule;
