//! What all workers of a run share: its clock, its end, and what they count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use odradek_common::random::{Random, SeededRandom};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::options::Options;
use super::recorder::Recorder;
use super::schedule::SECOND_NS;
use super::stall::{Stall, Stalls};

/// Kinds of errors that are told apart.
const ERROR_KINDS: usize = 100;
/// Seconds for reading what was acknowledged last.
const READ_LAST_S: u64 = 5;

/// What all workers of a run share.
#[derive(Debug)]
pub struct Shared {
    /// Told from every other run by what its records bear.
    pub run: u64,
    /// When the last record is due, in ns after the start.
    pub end_ns: u64,
    warmup_ns: u64,
    deadline_ns: u64,
    start: Instant,
    produced: AtomicBool,
    acked: AtomicU64,
    read: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
    stalls: Mutex<Stalls>,
}

impl Shared {
    /// A run that starts now.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let end_ns = SECOND_NS * (options.warmup + options.duration);
        let warmup_ns = SECOND_NS * options.warmup;
        Self {
            run: SeededRandom::from_os().next_u64(),
            end_ns,
            warmup_ns,
            deadline_ns: end_ns + SECOND_NS * options.delivery_timeout,
            start: Instant::now(),
            produced: AtomicBool::new(false),
            acked: AtomicU64::new(0),
            read: AtomicU64::new(0),
            errors: Mutex::default(),
            stalls: Mutex::new(Stalls::new(warmup_ns)),
        }
    }

    /// Nanoseconds after the start.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// When what is not acknowledged has failed, whenever it was due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.start + Duration::from_nanos(self.deadline_ns)
    }

    /// An empty recorder of what is measured.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder::new(self.warmup_ns, self.end_ns)
    }

    /// Counts an error.
    pub fn error(&self, error: &anyhow::Error) {
        let mut errors = self.errors.lock();
        let text = format!("{error:#}");
        if errors.len() < ERROR_KINDS || errors.contains_key(&text) {
            *errors.entry(text).or_default() += 1;
        }
    }

    /// Counts the records of a batch that was acknowledged at `now_ns`, the first of them due at `due_ns`.
    pub fn acked(&self, partition: i32, records: u64, due_ns: u64, now_ns: u64) {
        self.acked.fetch_add(records, Ordering::SeqCst);
        self.stalls.lock().acknowledged(partition, due_ns, now_ns);
    }

    /// Takes note of a batch that was given up at `now_ns`, the first of its records due at `due_ns`.
    pub fn given_up(&self, partition: i32, due_ns: u64, now_ns: u64) {
        self.stalls.lock().waited(partition, due_ns, now_ns);
    }

    /// Counts records that a consumer has.
    pub fn read(&self, records: u64) {
        self.read.fetch_add(records, Ordering::SeqCst);
    }

    /// No record will be acknowledged any more.
    pub fn all_produced(&self) {
        self.produced.store(true, Ordering::SeqCst);
    }

    /// True when all that was acknowledged has been read, or there is no more time for it.
    #[must_use]
    pub fn all_read(&self) -> bool {
        let produced = self.produced.load(Ordering::SeqCst);
        let read = self.read.load(Ordering::SeqCst) >= self.acked.load(Ordering::SeqCst);
        (produced && read) || self.now_ns() >= self.deadline_ns + SECOND_NS * READ_LAST_S
    }

    /// Records acknowledged and records read, with those of the warm-up.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.acked.load(Ordering::SeqCst), self.read.load(Ordering::SeqCst))
    }

    /// Errors by what they say.
    #[must_use]
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().clone()
    }

    /// The longest stall so far.
    #[must_use]
    pub fn longest_stall(&self) -> Option<Stall> {
        self.stalls.lock().longest()
    }
}
