//! What all clients of a life noticed, in one order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use odradek_tests::history::{Event, Place, Setup, Violation, check};
use parking_lot::Mutex;

/// A topic under load. Its number is its index in [`TOPICS`].
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// Its partitions.
    pub partitions: i32,
    /// Whether retention and DeleteRecords shorten it.
    pub shortened: bool,
}

/// One topic that keeps everything, and one that is deleted from its beginning all the time.
pub const TOPICS: [Topic; 2] = [
    Topic { name: "kept", partitions: 4, shortened: false },
    Topic { name: "shortened", partitions: 2, shortened: true },
];

/// All partitions.
pub fn places() -> Vec<Place> {
    let of = |(topic, number): (&Topic, u32)| {
        (0..topic.partitions).map(move |partition| Place { topic: number, partition })
    };
    TOPICS.iter().zip(0..).flat_map(of).collect()
}

/// The topic of a place.
pub fn topic_of(place: Place) -> &'static Topic {
    &TOPICS[place.topic as usize]
}

/// The place that a client names by topic and partition.
pub fn place_of(topic: &str, partition: i32) -> Option<Place> {
    let known = |(one, number): (&Topic, u32)| (one.name == topic).then_some(number);
    let topic = TOPICS.iter().zip(0..).find_map(known)?;
    Some(Place { topic, partition })
}

/// The history of a life; shared by its clients.
#[derive(Clone, Default)]
pub struct Record(Arc<Inner>);

#[derive(Default)]
struct Inner {
    events: Mutex<Vec<Event>>,
    problems: Mutex<Vec<String>>,
    ids: AtomicU64,
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

impl Record {
    /// Notes an event.
    pub fn note(&self, event: Event) {
        match event {
            Event::Sent(_) => _ = self.0.sent.fetch_add(1, Ordering::AcqRel),
            Event::Acknowledged { .. } => _ = self.0.acknowledged.fetch_add(1, Ordering::AcqRel),
            _ => {}
        }
        self.0.events.lock().push(event);
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
    pub fn take_problems(&self) -> Vec<String> {
        std::mem::take(&mut self.0.problems.lock())
    }

    /// A number that nothing else in this history has.
    pub fn unique(&self) -> u64 {
        self.0.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Records that were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.0.acknowledged.load(Ordering::Acquire)
    }

    /// Records that wait for their answer.
    pub fn unanswered(&self) -> u64 {
        let acknowledged = self.acknowledged();
        self.0.sent.load(Ordering::Acquire).saturating_sub(acknowledged)
    }

    /// What is wrong with the history so far.
    pub fn check(&self, setup: &Setup) -> Vec<Violation> {
        check(setup, &self.0.events.lock())
    }
}
