//! Object stores: by URL, with retries, metrics and faults around them.

pub mod file;
