//! A network in memory, and the wire between nodes on it.

mod network;
mod wire;

pub(crate) use network::Hub;
