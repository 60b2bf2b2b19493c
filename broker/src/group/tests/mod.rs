//! Tests of the state machine (pure, driven by [`harness::Harness`]) and of the service on shards.

mod admin;
mod harness;
mod join;
mod messages;
mod moves;
mod offsets;
mod properties;
mod scenarios;
mod service;
mod session;
mod statics;
mod sync;
