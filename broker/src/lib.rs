//! Odradek's broker: settings, connections, handlers, partition logs, the group coordinator, the work
//! in the background, and how they are wired into a process. `ARCHITECTURE.md` is the map.

pub mod admin_http;
mod aside;
pub mod attempts;
pub mod background;
pub mod backlog;
#[doc(hidden)]
pub mod broken;
pub mod cli;
pub mod client;
pub mod confirmation;
pub mod coordinator;
pub mod core;
pub mod directory;
pub mod endpoints;
pub mod epochs;
pub mod fetch_sessions;
pub mod group;
mod handed;
pub mod handlers;
pub mod handover;
pub mod internal_log;
pub mod leaders;
pub mod log_start;
pub mod logs;
pub mod metric_names;
pub mod opening;
pub mod partition;
pub mod process;
pub mod producer_ids;
pub mod readiness;
pub mod reading;
pub mod registration;
pub mod run;
pub mod server;
pub mod settings;
pub mod takeover;
pub mod telemetry;
pub mod timestamps;
pub mod topic_settings;
pub mod topics;
pub mod wals;
