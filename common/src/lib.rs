//! What the crates of Odradek share: plain newtypes, the record-batch view and the injected world
//! (clock, randomness, files, network). No protocol, no store, no metadata.

pub mod batch;
#[cfg(feature = "blocking")]
pub mod blocking;
pub mod clock;
pub mod files;
pub mod ids;
pub mod limits;
#[cfg(feature = "net")]
pub mod net;
pub mod phases;
pub mod pressure;
pub mod random;
