//! Histories of what clients did and saw, and the checker that finds in them what a broker must
//! never do. Pure: it knows no client and no broker, so that it can be tested with faults planted.

mod check;
mod event;
mod group;
mod passes;
#[cfg(test)]
mod tests;
mod value;
mod violation;

pub use check::check;
pub use event::{Event, Guarantee, Place, Reader, Setup};
pub use value::{Content, Stamp, ValueId};
pub use violation::Violation;
