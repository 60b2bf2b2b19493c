//! Odradek: broker.

pub mod coordinator;
pub mod group;
pub mod settings;
pub mod topic_settings;
