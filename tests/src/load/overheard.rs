//! What a client says to itself, for the case that it fails: its error alone, most often a time-out, does not tell
//! which broker it waited for and why.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use tokio::time::Instant;

/// Lines that are kept, the newest.
const LINES: usize = 250;
/// After so long without an event a client has told all.
const QUIET: Duration = Duration::from_millis(100);
/// What librdkafka is asked to tell of.
const SUBJECTS: &str = "broker,metadata,cgrp,protocol";

/// The newest lines of a client's log.
#[derive(Debug)]
pub(super) struct Overheard {
    begun: Instant,
    lines: Mutex<VecDeque<String>>,
}

impl Overheard {
    /// Sets a client so that it tells.
    pub(super) fn listen(mut config: ClientConfig) -> ClientConfig {
        config.set("debug", SUBJECTS).set_log_level(RDKafkaLogLevel::Debug);
        config
    }

    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), lines: Mutex::default() }
    }

    /// Takes in what the client has told; of records it gets none any more.
    pub(super) fn hear(client: &BaseConsumer<Self>) {
        // Its error would be one of a client that has failed anyway.
        let _ = client.unassign();
        while client.poll(QUIET).is_some() {}
    }

    /// Each with the time since the client began at which it was heard: what it says while nobody polls it, at the end.
    pub(super) fn lines(&self) -> String {
        let lines = self.lines.lock();
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl ClientContext for Overheard {
    fn log(&self, _: RDKafkaLogLevel, _: &str, message: &str) {
        let mut lines = self.lines.lock();
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(format!("+{} ms {message}", self.begun.elapsed().as_millis()));
    }

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Overheard {}
