//! What the crates of Odradek share: plain newtypes, the record-batch view and the injected world
//! (clock, randomness, files). No protocol, no store, no metadata.

pub mod batch;
pub mod clock;
pub mod files;
pub mod ids;
pub mod limits;
pub mod phases;
pub mod random;
