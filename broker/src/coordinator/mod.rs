//! The coordinator runtime: one pure state machine an internal partition, driven by one task.
//!
//! A request fixes its place in the shard's mailbox, the machine turns it into records and an
//! answer, the records are sequenced in the partition's log at once and the state moves on, so that
//! the next request is handled while the records are still on their way to the store. The answer
//! leaves when they are durable. Nothing but a fence takes a record back, and it takes everything:
//! the shard discards its whole state and answers NOT_COORDINATOR to all that wait.
//!
//! ```text
//!  call ──mailbox──▶ machine.handle ──records──▶ log.append ─────────▶ (slots land)
//!                         │                                                 │
//!                         └──answer, position──▶ waiting answers ◀──durable─┘──▶ caller
//! ```
//!
//! Three kinds of answer ([`When`]): at once, when durable, and when durable and the owner has
//! confirmed itself after the request came (coordinator reads, law 5.3).

mod log;
mod machine;
mod rewrite;
mod run;
mod shard;
mod task;
mod timers;
mod unlanded;
mod waiting;

#[cfg(test)]
pub mod memory;
#[cfg(test)]
mod tests;

pub use log::{AppendPosition, CoordinatorLog, CoordinatorRecord, LogError, LogPage, StoredRecord};
pub use machine::{Effects, Now, ReplayError, StateMachine, Token, When};
pub use shard::{Pending, Shard, Unavailable};
pub use timers::Timers;
