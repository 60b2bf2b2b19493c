//! The metadata of a cluster: who is there, who owns which partition, and what in the bucket counts.
//!
//! A [`Command`] is proposed through the [`Metadata`] handle, committed by the quorum, and applied
//! by a pure state machine that gives an [`Outcome`] or a [`Refusal`] and the next [`Image`]. This
//! crate knows neither the wire nor the store: object names are plain texts to it.

pub mod balance;
mod command;
mod disk;
mod handle;
mod ids;
pub mod image;
mod machine;
mod outcome;
mod quorum;
mod service;
mod sessions;
#[cfg(test)]
mod tests;
mod wire;

pub use command::*;
pub use disk::DiskError;
pub use handle::{Ended, Metadata, NotConfirmed, ProposeError};
pub use ids::{DirectoryId, Incarnation};
pub use image::Image;
pub use outcome::{AssignmentFault, Outcome, PartitionRefusal, Refusal};
pub use service::{Options, Service, ServiceError, StartError};
pub use sessions::{Reason as FenceReason, SessionOptions, Sessions};
pub use wire::DecodeError;
