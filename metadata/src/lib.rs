//! The metadata of a cluster: who is there, who owns which partition, and what in the bucket counts.
//!
//! A [`Command`] is proposed through the [`Metadata`] handle, committed by the quorum, and applied
//! by a pure state machine that gives an [`Outcome`] or a [`Refusal`] and the next [`Image`]. This
//! crate knows neither the wire nor the store: object names are plain texts to it.

mod answers;
pub mod balance;
mod calls;
mod command;
mod confirmations;
mod controller;
mod copies;
mod disk;
mod follow;
mod formation;
mod handle;
mod heartbeats;
mod ids;
pub mod image;
mod leader;
mod machine;
mod membership;
mod outcome;
mod peer;
mod quorum;
mod reads;
mod service;
mod sessions;
mod starting;
mod state;
#[cfg(test)]
mod tests;
mod waiting;
mod wire;

pub use command::*;
pub use controller::ControllerOptions;
pub use copies::{CommittedTail, CopyPiece, NotCopied, restore, snapshot_copy};
pub use disk::DiskError;
pub use handle::{Metadata, ProposeError};
pub use heartbeats::Heartbeat;
pub use ids::{DirectoryId, Endpoint, Incarnation, ReplicaKey, Voter};
pub use image::Image;
pub use membership::{QuorumCallError, QuorumDescription, ReplicaState};
pub use outcome::{AssignmentFault, Outcome, PartitionRefusal, Refusal};
pub use peer::PeerSecret;
pub use reads::{Ended, NotConfirmed};
pub use service::{Options, Service, ServiceError, StartError};
pub use sessions::{Landings, Reason as FenceReason, SessionOptions, Sessions};
pub use wire::DecodeError;
