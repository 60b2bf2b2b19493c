//! Odradek: broker.

pub mod admin_http;
pub mod cli;
pub mod coordinator;
pub mod group;
pub mod metric_names;
pub mod settings;
pub mod telemetry;
pub mod topic_settings;
