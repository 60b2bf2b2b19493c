//! The Kafka listeners and their connections.

pub mod budget;
mod chunks;
mod connection;
mod listener;
mod turns;

pub use listener::{Bound, Connections, bind};
