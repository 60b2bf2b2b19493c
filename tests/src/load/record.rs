//! What all clients of a life noticed, in one order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::watch::Watch;
use crate::history::{Event, Place, Setup, Violation, check};

/// A topic under load. Its number is its index among those of the record.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// Its partitions.
    pub partitions: i32,
    /// Whether retention and DeleteRecords shorten it.
    pub shortened: bool,
}

/// The history of a life; shared by its clients.
#[derive(Clone, Debug)]
pub struct Record(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    topics: &'static [Topic],
    events: Mutex<Vec<Event>>,
    problems: Mutex<Vec<String>>,
    ids: AtomicU64,
    sent: AtomicU64,
    acknowledged: AtomicU64,
    watch: Mutex<Option<Watch>>,
}

impl Record {
    /// An empty history of clients of these topics.
    #[must_use]
    pub fn new(topics: &'static [Topic]) -> Self {
        Self(Arc::new(Inner { topics, ..Inner::default() }))
    }

    /// The topics.
    #[must_use]
    pub fn topics(&self) -> &'static [Topic] {
        self.0.topics
    }

    /// All partitions.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let of = |(topic, number): (&Topic, u32)| {
            (0..topic.partitions).map(move |partition| Place { topic: number, partition })
        };
        self.0.topics.iter().zip(0..).flat_map(of).collect()
    }

    /// The topic of a place.
    #[must_use]
    pub fn topic_of(&self, place: Place) -> &'static Topic {
        &self.0.topics[place.topic as usize]
    }

    /// The place that a client names by topic and partition.
    #[must_use]
    pub fn place_of(&self, topic: &str, partition: i32) -> Option<Place> {
        let known = |(one, number): (&Topic, u32)| (one.name == topic).then_some(number);
        let topic = self.0.topics.iter().zip(0..).find_map(known)?;
        Some(Place { topic, partition })
    }

    /// Notes an event.
    pub fn note(&self, event: Event) {
        match event {
            Event::Sent(_) => _ = self.0.sent.fetch_add(1, Ordering::AcqRel),
            Event::Acknowledged { .. } => _ = self.0.acknowledged.fetch_add(1, Ordering::AcqRel),
            _ => {}
        }
        if let Some(watch) = &mut *self.0.watch.lock() {
            watch.take(&event);
        }
        self.0.events.lock().push(event);
    }

    /// Begins to measure how long each partition waits for the acknowledgement of a record that is sent from
    /// now on.
    pub fn watch(&self) {
        *self.0.watch.lock() = Some(Watch::begin());
    }

    /// How long each partition waited that has such an acknowledgement.
    #[must_use]
    pub fn waited(&self) -> BTreeMap<Place, Duration> {
        self.0.watch.lock().as_ref().map(Watch::waited).unwrap_or_default()
    }

    /// Takes back a `Sent` whose record did not get into the client's queue.
    pub fn not_sent(&self) {
        self.0.sent.fetch_sub(1, Ordering::AcqRel);
    }

    /// Notes what no client should see: a delivery that failed for good.
    pub fn problem(&self, text: String) {
        self.0.problems.lock().push(text);
    }

    /// What was noted as a problem since the last time.
    #[must_use]
    pub fn take_problems(&self) -> Vec<String> {
        std::mem::take(&mut self.0.problems.lock())
    }

    /// A number that nothing else in this history has.
    #[must_use]
    pub fn unique(&self) -> u64 {
        self.0.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Records that were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.0.acknowledged.load(Ordering::Acquire)
    }

    /// Records that wait for their answer.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        let acknowledged = self.acknowledged();
        self.0.sent.load(Ordering::Acquire).saturating_sub(acknowledged)
    }

    /// What is wrong with the history so far.
    #[must_use]
    pub fn check(&self, setup: &Setup) -> Vec<Violation> {
        check(setup, &self.0.events.lock())
    }
}
