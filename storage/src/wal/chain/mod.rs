//! The sequencer of a chain: gathers batches into slots, keeps a window of them in flight, and
//! lets them land in order.

mod budget;
mod error;
mod handle;
mod landing;
mod linger;
mod open;
mod options;
mod run;
mod state;
#[cfg(test)]
mod tests;
mod trim;

pub use error::ChainError;
pub use handle::{ChainHandle, ChainStats};
pub use landing::{LandedSlot, SlotRange, SlotSink};
pub use options::ChainOptions;
pub use run::Chain;
