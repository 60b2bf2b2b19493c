//! The whole broker, in this process, over files that lose what was not synced and over an object
//! store that fails as told. Clients are real ones over loopback; after every crash everything is
//! read and compared with what was acknowledged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod altering;
mod attempts;
mod cluster;
mod coming_and_going;
mod confirming;
mod deleted_topics;
mod every_version;
mod handover;
mod history;
mod idle;
mod internal_topics;
mod kafka;
mod leaders;
mod life;
mod list_offsets;
mod offsets;
mod pinned;
mod power_cut;
mod producers;
mod refused;
mod restarts;
mod store_faults;
mod syncs;
mod waiting;
mod workload;

use odradek_tests::wire;
