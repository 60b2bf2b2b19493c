//! The Kafka listeners and their connections.

pub mod budget;
mod chunks;
mod connection;
mod listener;

pub use listener::{Bound, Connections, bind, connections_max};
