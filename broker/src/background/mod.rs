//! What a broker does by itself: flush, merge, retention, collection, and taking up what the
//! metadata gives it.

pub mod backlog;
pub mod collect;
pub mod copies;
pub mod expire;
pub mod flush;
pub mod gauges;
pub mod handover;
pub mod heartbeat;
pub mod merge;
pub mod ownership;
pub mod retention;
pub mod settings;
pub mod takeover;
