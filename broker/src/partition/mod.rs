//! The owner's side of a partition: its rules, its producers, the end of its log in memory.

pub mod cache;
pub mod checkpoint;
mod log;
#[cfg(test)]
mod log_tests;
pub mod producers;
mod rules;
#[cfg(test)]
pub(crate) mod testing;
pub mod traffic;

pub use log::{Appended, FlushPlan, Found, LogStart, NotSequenced, Offsets, PartitionLog};
pub use rules::{AppendError, AppendRules};
