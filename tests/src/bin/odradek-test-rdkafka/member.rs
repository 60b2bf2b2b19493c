//! A member of the group, on a thread of its own: it commits now and then, and whatever it loses before it lets go.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;

use crate::run::{Run, check_record};

/// Records after which a member commits; it does as well when no more come.
const COMMIT_EVERY: usize = 25;

/// What the members of a group know together.
#[derive(Default)]
pub struct Shared {
    /// By partition: the offset that a commit named and that was answered.
    pub committed: Mutex<BTreeMap<i32, i64>>,
    /// Partition and offset of every record that reached a member.
    pub delivered: Mutex<HashSet<(i32, i64)>>,
    /// What went wrong.
    pub problems: Mutex<Vec<String>>,
}

/// What one member knows, also in the callbacks of a rebalance.
struct Inner {
    topic: String,
    shared: Arc<Shared>,
    held: Mutex<BTreeSet<i32>>,
    position: Mutex<BTreeMap<i32, i64>>,
}

/// The context of the member's consumer.
struct Context(Arc<Inner>);

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(parts) => {
                let gone: Vec<i32> = parts.elements().iter().map(|p| p.partition()).collect();
                self.0.commit(consumer, &gone);
                self.0.position.lock().retain(|partition, _| !gone.contains(partition));
                self.0.held.lock().retain(|partition| !gone.contains(partition));
            }
            Rebalance::Assign(parts) => {
                self.0.held.lock().extend(parts.elements().iter().map(|p| p.partition()));
            }
            Rebalance::Error(error) => self.0.problem(format!("rebalance: {error}")),
        }
    }
}

impl Inner {
    fn problem(&self, text: String) {
        self.shared.problems.lock().push(text);
    }

    fn take(&self, base_ms: i64, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), message.offset());
        if let Err(error) = check_record(base_ms, message) {
            self.problem(format!("{error:#}"));
        }
        let floor = self.shared.committed.lock().get(&partition).copied().unwrap_or(0);
        if offset < floor {
            self.problem(format!("{partition}/{offset} again, {floor} was committed"));
        }
        let next = self.position.lock().insert(partition, offset + 1);
        if next.is_some_and(|next| next != offset) {
            self.problem(format!("{partition}/{offset} where {next:?} is next"));
        }
        self.shared.delivered.lock().insert((partition, offset));
    }

    /// False if a rebalance overtook it: what it named may be delivered again, and is committed again.
    fn commit<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>, partitions: &[i32]) -> bool {
        let position = self.position.lock().clone();
        let named: Vec<(i32, i64)> = partitions
            .iter()
            .filter_map(|partition| Some((*partition, *position.get(partition)?)))
            .collect();
        if named.is_empty() {
            return true;
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in &named {
            let added =
                offsets.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset));
            if let Err(error) = added {
                self.problem(error.to_string());
            }
        }
        match consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => self.shared.committed.lock().extend(named),
            Err(KafkaError::ConsumerCommit(
                RDKafkaErrorCode::IllegalGeneration | RDKafkaErrorCode::RebalanceInProgress,
            )) => return false,
            Err(error) => self.problem(format!("commit: {error}")),
        }
        true
    }
}

/// A running member.
pub struct Member {
    inner: Arc<Inner>,
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Member {
    /// Joins the run's group with the crate's default assignor, which is eager.
    pub fn join(run: &Run, shared: &Arc<Shared>) -> Result<Self> {
        let inner = Arc::new(Inner {
            topic: run.topic.clone(),
            shared: Arc::clone(shared),
            held: Mutex::default(),
            position: Mutex::default(),
        });
        let settings = [("group.id", run.group.as_str()), ("auto.offset.reset", "earliest")];
        let consumer = run.consumer_with(&settings, Context(Arc::clone(&inner)))?;
        consumer.subscribe(&[&run.topic])?;
        let stopped = Arc::new(AtomicBool::new(false));
        let (own, stop, base_ms) = (Arc::clone(&inner), Arc::clone(&stopped), run.base_ms);
        let thread = std::thread::spawn(move || {
            let mut uncommitted = 0;
            while !stop.load(Ordering::Acquire) {
                let polled = consumer.poll(Duration::from_millis(100));
                let is_idle = polled.is_none();
                match polled {
                    None => {}
                    Some(Ok(message)) => {
                        own.take(base_ms, &message);
                        uncommitted += 1;
                    }
                    Some(Err(error)) => own.problem(error.to_string()),
                }
                if uncommitted >= COMMIT_EVERY || (uncommitted > 0 && is_idle) {
                    let held: Vec<i32> = own.position.lock().keys().copied().collect();
                    if own.commit(&consumer, &held) {
                        uncommitted = 0;
                    }
                }
            }
            // Its drop leaves the group, by way of a revocation.
            drop(consumer);
        });
        Ok(Self { inner, stopped, thread })
    }

    /// The partitions that it holds.
    pub fn held(&self) -> BTreeSet<i32> {
        self.inner.held.lock().clone()
    }

    /// Closes the member and waits for it.
    pub fn leave(self) -> Result<()> {
        self.stopped.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the member panicked"))
    }
}
