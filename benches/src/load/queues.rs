//! What one producer has made and the leaders have not acknowledged: a queue of batches a partition.
//!
//! Batches of a partition are sent in order. One that comes back takes its old place, and the
//! partition goes to another leader only when nothing of it is in flight at the old one.

use std::collections::{BTreeMap, VecDeque};

use super::batch::{Gathered, Identity};
use super::cluster::Leaders;
use super::recorder::Recorder;
use super::routes::{Lane, Routes};
use super::shared::Shared;

/// Bytes of one request, as Kafka's `max.request.size`.
const REQUEST_BYTES: usize = 1 << 20;
/// The producer id and epoch of who is not idempotent.
pub const NO_PRODUCER: (i64, i16) = (-1, -1);

/// A batch of one partition.
#[derive(Debug)]
pub struct Sealed {
    /// Its records.
    pub gathered: Gathered,
    /// What it was sent with, and is again: none before it was sent, when records may be added.
    pub identity: Option<Identity>,
    /// Its place in the order of its partition.
    serial: u64,
    /// Whether it has waited for more records.
    ready: bool,
}

impl Sealed {
    /// When its first record was due, in ns after the start.
    #[must_use]
    pub fn due_ns(&self) -> u64 {
        self.gathered.due_ns.first().copied().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Sealed>,
    in_flight: usize,
    next_serial: u64,
    /// Its producer id and epoch, and the sequence after what was sent.
    producer: Option<(i64, i16)>,
    next_sequence: i32,
}

impl Queue {
    fn stamp(&mut self, batch: &mut Sealed) {
        let producer = self.producer.unwrap_or(NO_PRODUCER);
        if batch.identity.is_some() {
            return;
        }
        if producer == NO_PRODUCER {
            batch.identity = Some((producer.0, producer.1, -1));
            return;
        }
        batch.identity = Some((producer.0, producer.1, self.next_sequence));
        let count = i64::try_from(batch.gathered.count()).unwrap_or(0);
        // Behind the largest sequence comes 0.
        let after = (i64::from(self.next_sequence) + count) & i64::from(i32::MAX);
        self.next_sequence = i32::try_from(after).unwrap_or(0);
    }
}

/// The queues of one producer, their routes, and what was measured.
#[derive(Debug)]
pub struct Queues {
    /// Which leader each partition has.
    pub routes: Routes,
    /// Latencies of what was acknowledged.
    pub recorder: Recorder,
    /// Records acknowledged, measured or not.
    pub acked: u64,
    /// Bytes of batches that wait or are in flight, before compression.
    pub unanswered_bytes: usize,
    partitions: BTreeMap<i32, Queue>,
}

impl Queues {
    /// Empty ones.
    #[must_use]
    pub fn new(partitions: &[i32], recorder: Recorder) -> Self {
        Self {
            routes: Routes::new(partitions.iter().copied()),
            recorder,
            acked: 0,
            unanswered_bytes: 0,
            partitions: partitions.iter().map(|index| (*index, Queue::default())).collect(),
        }
    }

    /// True if the last batch of a partition was not sent and takes a record of so many bytes.
    #[must_use]
    pub fn has_room(&self, partition: i32, record_bytes: usize, batch_bytes: usize) -> bool {
        let last = self.partitions.get(&partition).and_then(|queue| queue.waiting.back());
        last.is_some_and(|last| {
            last.identity.is_none() && last.gathered.size_bytes() + record_bytes <= batch_bytes
        })
    }

    /// Adds a record to the last batch of a partition, or with `anew` to one behind it.
    pub fn push(&mut self, partition: i32, anew: bool, record: impl FnOnce(&mut Gathered)) {
        let queue = self.partitions.entry(partition).or_default();
        if anew || queue.waiting.is_empty() {
            let serial = queue.next_serial;
            queue.next_serial += 1;
            let gathered = Gathered::default();
            queue.waiting.push_back(Sealed { gathered, identity: None, serial, ready: false });
        }
        if let Some(last) = queue.waiting.back_mut() {
            let before = if last.gathered.count() == 0 { 0 } else { last.gathered.size_bytes() };
            record(&mut last.gathered);
            self.unanswered_bytes += last.gathered.size_bytes() - before;
        }
    }

    /// The last batch of a partition has waited for records long enough.
    pub fn ready(&mut self, partition: i32) {
        let queue = self.partitions.entry(partition).or_default();
        if let Some(last) = queue.waiting.back_mut() {
            last.ready = true;
        }
        self.routes.ring(partition);
    }

    /// What a request to `node` takes: the next batch of each of its partitions that has one ready,
    /// from the partition `from` on, so that none is always the last.
    pub fn take(&mut self, node: i32, from: i32) -> Vec<(i32, Sealed)> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let first = self.partitions.range(from..).map(|(index, _)| *index);
        let order: Vec<i32> =
            first.chain(self.partitions.range(..from).map(|(index, _)| *index)).collect();
        for partition in order {
            if self.routes.leader(partition) != Some(node) {
                continue;
            }
            let queue = self.partitions.entry(partition).or_default();
            let Some(next) = queue.waiting.front().filter(|next| next.ready) else { continue };
            bytes += next.gathered.size_bytes();
            if bytes > REQUEST_BYTES && !taken.is_empty() {
                break;
            }
            if let Some(mut batch) = queue.waiting.pop_front() {
                queue.stamp(&mut batch);
                queue.in_flight += 1;
                taken.push((partition, batch));
            }
        }
        taken
    }

    /// A batch was acknowledged at `now_ns`.
    pub fn acknowledged(&mut self, shared: &Shared, partition: i32, batch: &Sealed, now_ns: u64) {
        let records = batch.gathered.count() as u64;
        self.partitions.entry(partition).or_default().in_flight -= 1;
        self.unanswered_bytes -= batch.gathered.size_bytes();
        self.acked += records;
        for due_ns in &batch.gathered.due_ns {
            self.recorder.record(*due_ns, now_ns);
        }
        shared.acked(partition, records, batch.due_ns(), now_ns);
        self.routes.succeeded(partition);
    }

    /// A batch comes back unacknowledged, to be sent again.
    pub fn put_back(&mut self, partition: i32, batch: Sealed) {
        let queue = self.partitions.entry(partition).or_default();
        queue.in_flight -= 1;
        let at = queue.waiting.partition_point(|other| other.serial < batch.serial);
        queue.waiting.insert(at, batch);
    }

    /// Partitions whose leader is to be looked for by now.
    #[must_use]
    pub fn sought(&self, now_ns: u64) -> Vec<i32> {
        let at_rest = |index: &i32| self.partitions.get(index).is_some_and(|at| at.in_flight == 0);
        self.routes.sought(now_ns).filter(at_rest).collect()
    }

    /// True if one of these partitions has no producer id.
    #[must_use]
    pub fn want_producer(&self, partitions: &[i32]) -> bool {
        let mut queues = partitions.iter().filter_map(|index| self.partitions.get(index));
        queues.any(|queue| queue.producer.is_none())
    }

    /// Gives partitions to their leaders, and the producer to those without one; gives back the
    /// lanes that are to be opened.
    pub fn assign(
        &mut self,
        sought: &[i32],
        leaders: &Leaders,
        producer: Option<(i64, i16)>,
        now_ns: u64,
    ) -> Vec<Lane> {
        for index in sought {
            let queue = self.partitions.entry(*index).or_default();
            queue.producer = queue.producer.or(producer);
        }
        self.routes.assign(sought, leaders, now_ns)
    }

    /// Gives up the batches whose first record was due before `before_ns`. Where one had been sent,
    /// a sequence is missing: then what follows is sent with another producer id.
    pub fn give_up(&mut self, shared: &Shared, before_ns: u64, now_ns: u64) {
        for (partition, queue) in &mut self.partitions {
            let mut anew = false;
            while let Some(next) = queue.waiting.front()
                && next.due_ns() < before_ns
                && (next.identity.is_none() || queue.in_flight == 0)
            {
                shared.given_up(*partition, next.due_ns(), now_ns);
                anew |= next.identity.is_some();
                self.unanswered_bytes -= next.gathered.size_bytes();
                queue.waiting.pop_front();
            }
            if anew {
                queue.waiting.iter_mut().for_each(|batch| batch.identity = None);
                (queue.producer, queue.next_sequence) = (None, 0);
                self.routes.lose(*partition, now_ns);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use odradek_common::random::{Random, SeededRandom};

    use super::super::options::Options;
    use super::*;

    const PARTITIONS: i32 = 3;

    fn queues() -> (Shared, Queues) {
        let shared = Shared::new(&Options::parse_from(["odradek-bench"]));
        let queues = Queues::new(&[0, 1, 2], shared.recorder());
        (shared, queues)
    }

    fn lead(queues: &mut Queues, node: i32) {
        let leaders = (0..PARTITIONS).map(|at| (at, (node, String::new()))).collect();
        let sought = queues.sought(u64::MAX);
        queues.assign(&sought, &leaders, Some((9, 0)), 0);
    }

    fn push(queues: &mut Queues, partition: i32, due_ns: u64) {
        queues.push(partition, true, |batch| batch.push(1, due_ns, b"x"));
        queues.ready(partition);
    }

    #[test]
    fn a_batch_grows_until_it_is_taken() {
        let (_, mut queues) = queues();
        lead(&mut queues, 7);
        assert!(!queues.has_room(0, 10, 1000));
        queues.push(0, false, |batch| batch.push(1, 5, b"x"));
        assert!(queues.has_room(0, 10, 1000) && !queues.has_room(0, 10, 50));
        assert!(queues.take(7, 0).is_empty(), "it waits for more");
        queues.ready(0);
        queues.push(0, false, |batch| batch.push(1, 6, b"x"));
        assert!(queues.take(8, 0).is_empty(), "it is another's");
        let taken = queues.take(7, 0);
        assert_eq!((taken.len(), taken[0].1.gathered.count()), (1, 2));
        assert_eq!(queues.unanswered_bytes, taken[0].1.gathered.size_bytes());
    }

    #[test]
    fn no_partition_is_always_the_last() {
        let (_, mut queues) = queues();
        lead(&mut queues, 7);
        for partition in 0..PARTITIONS {
            let filler = vec![b'x'; REQUEST_BYTES * 3 / 4];
            queues.push(partition, true, |batch| batch.push(1, 0, &filler));
            queues.ready(partition);
        }
        let order = [1, 2, 0].map(|from| queues.take(7, from)[0].0);
        assert_eq!(order, [1, 2, 0]);
    }

    #[test]
    fn a_sequence_that_is_missing_wants_another_producer() {
        let (shared, mut queues) = queues();
        lead(&mut queues, 7);
        push(&mut queues, 0, 10);
        push(&mut queues, 0, 90);
        let (_, batch) = queues.take(7, 0).remove(0);
        queues.give_up(&shared, 50, 60);
        assert_eq!(queues.partitions[&0].waiting.len(), 1, "nothing is given up in flight");
        queues.put_back(0, batch);
        queues.give_up(&shared, 50, 60);
        assert_eq!(queues.routes.leader(0), None);
        assert!(queues.want_producer(&[0]) && !queues.want_producer(&[1]));
        let leaders = [(0, (7, String::new()))].into();
        queues.assign(&[0], &leaders, Some((10, 0)), 70);
        assert_eq!(queues.take(7, 0)[0].1.identity, Some((10, 0, 0)));
    }

    /// Whatever is refused and whoever leads: what leaders accept of a partition has no gap and no
    /// other order than that in which it was made, and at the end all of it was accepted.
    #[test]
    fn a_leader_that_refuses_gaps_accepts_all_in_order() {
        for seed in 0..50 {
            let random = SeededRandom::from_seed(seed);
            let draw = |below: u64| random.next_u64() % below;
            let (shared, mut queues) = queues();
            let (mut flights, mut made) = (VecDeque::new(), 0);
            let mut accepted = BTreeMap::<i32, Vec<u64>>::new();
            for step in 0..8000 {
                match draw(6) {
                    0 | 1 if step < 3000 => {
                        push(&mut queues, i32::try_from(draw(3)).unwrap(), made);
                        made += 1;
                    }
                    2 if step < 3000 && draw(10) == 0 => {
                        // The connection is lost, whatever was in flight comes back.
                        flights.drain(..).for_each(|(at, batch)| queues.put_back(at, batch));
                        (0..3).for_each(|node| queues.routes.close(node, step));
                    }
                    3 => lead(&mut queues, i32::try_from(draw(3)).unwrap()),
                    4 => (0..3).for_each(|node| flights.extend(queues.take(node, 0))),
                    _ => {
                        let Some((at, batch)) = flights.pop_front() else { continue };
                        let log = accepted.entry(at).or_default();
                        let expected = i32::try_from(log.len()).unwrap();
                        let refused = step < 3000 && draw(4) == 0;
                        if !refused && batch.identity == Some((9, 0, expected)) {
                            log.extend(&batch.gathered.due_ns);
                            queues.acknowledged(&shared, at, &batch, step);
                        } else {
                            queues.put_back(at, batch);
                            queues.routes.lose(at, step);
                        }
                    }
                }
            }
            assert_eq!((queues.acked, queues.unanswered_bytes), (made, 0), "seed {seed}");
            assert!(accepted.values().all(|log| log.is_sorted()), "seed {seed}");
        }
    }
}
