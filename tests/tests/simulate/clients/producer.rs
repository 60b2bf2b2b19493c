//! An idempotent producer: up to five batches of a partition in flight, sent again unchanged until
//! they are acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use odradek_tests::history::{Event, Place, ValueId};
use odradek_tests::wire::{Failed, Wire, batch_at, produce_request};

use super::calls::limited;
use super::{Common, PARTITIONS, TOPIC};

/// Requests in flight, as many as Kafka's idempotence bears.
const IN_FLIGHT: usize = 5;

/// Bytes of a value, beside what the history wants.
const PADDING_BYTES: u64 = 300;

/// The oldest records, in days: well within the week after which they would be deleted.
const DAYS_BACK: u64 = 5;
const DAY_MS: i64 = 86_400_000;

/// Answers that the oldest pending batch may never get: out of order, duplicate, unknown producer,
/// corrupt, an old epoch.
const NEVER: [i16; 5] = [45, 46, 59, 2, 47];

/// A batch that is not acknowledged yet.
struct Pending {
    ids: Vec<ValueId>,
    bytes: Bytes,
}

/// A producer's way to one partition.
#[derive(Default)]
struct Line {
    sent: u64,
    pending: VecDeque<Pending>,
    wire: Option<Wire>,
}

struct Producer {
    common: Arc<Common>,
    number: u32,
    id: i64,
}

/// Produces until it is time to wind up and everything is acknowledged.
pub async fn produce(common: Arc<Common>, number: u32) {
    let id = common.insist(|| producer_id(&common)).await;
    let producer = Producer { common, number, id };
    let mut lines: BTreeMap<i32, Line> = BTreeMap::new();
    loop {
        let drawn = i32::try_from(producer.common.below(3)).unwrap_or(0) % PARTITIONS;
        let is_winding_up = producer.common.is_winding_up();
        let pending = lines.iter().find(|(_, line)| !line.pending.is_empty());
        let partition = match pending.map(|(partition, _)| *partition) {
            None if is_winding_up => return,
            Some(pending) if is_winding_up => pending,
            _ => drawn,
        };
        let line = lines.entry(partition).or_default();
        if !is_winding_up {
            producer.gather(partition, line);
        }
        match producer.send(partition, line).await {
            Ok(()) => producer.common.wait_ms(50, 500).await,
            Err(failed) => {
                line.wire = None;
                if let Failed::Code(code) = failed
                    && NEVER.contains(&code)
                {
                    let oldest = line.pending.front().and_then(|batch| batch.ids.first());
                    let oldest = oldest.map_or_else(String::new, ToString::to_string);
                    producer.common.notes.problem(format!("code {code} for {oldest}"));
                    return;
                }
                producer.common.bear(&failed).await;
            }
        }
    }
}

async fn producer_id(common: &Common) -> Result<i64, Failed> {
    let mut wire = common.any().await?;
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let answer = common.call(&mut wire, &request, 4).await?;
    Failed::check(answer.error_code)?;
    Ok(*answer.producer_id)
}

impl Producer {
    /// Makes some batches, as many as may be in flight.
    fn gather(&self, partition: i32, line: &mut Line) {
        for _ in 0..1 + self.common.below(IN_FLIGHT as u64) {
            if line.pending.len() == IN_FLIGHT {
                return;
            }
            let first = line.sent;
            line.sent += 1 + self.common.below(3);
            let place = Place { topic: 0, partition };
            let id = |sequence| ValueId { producer: self.number, place, sequence };
            let ids: Vec<ValueId> = (first..line.sent).map(id).collect();
            let values: Vec<Vec<u8>> = ids.iter().map(|id| self.value(*id)).collect();
            let sequence = i32::try_from(first).unwrap_or(i32::MAX);
            let bytes = batch_at(self.timestamp_ms(), self.id, sequence, &values);
            line.pending.push_back(Pending { ids, bytes });
        }
    }

    /// Of now, or of any time within retention: records are as old as their makers like, and nothing that the
    /// broker knows of a producer may hang on it.
    fn timestamp_ms(&self) -> i64 {
        let days_ago = self.common.below(2 * DAYS_BACK).saturating_sub(DAYS_BACK);
        self.common.wall_ms() - i64::try_from(days_ago).unwrap_or(0) * DAY_MS
    }

    fn value(&self, id: ValueId) -> Vec<u8> {
        let length = usize::try_from(self.common.below(PADDING_BYTES)).unwrap_or(0);
        let (value, stamp) = id.encode(&vec![b'.'; length]);
        self.common.notes.note(Event::Sent(stamp));
        value
    }

    /// Sends all that is pending and waits until it is acknowledged.
    async fn send(&self, partition: i32, line: &mut Line) -> Result<(), Failed> {
        if line.pending.is_empty() {
            return Ok(());
        }
        let wire = match &mut line.wire {
            Some(wire) => wire,
            none => none.insert(self.common.leader(TOPIC, partition).await?),
        };
        for batch in &line.pending {
            let request = produce_request(TOPIC, partition, batch.bytes.clone(), 10_000);
            limited(wire.send(&request, 11)).await?;
        }
        while !line.pending.is_empty() {
            let answer = limited(wire.receive::<ProduceRequest>(11)).await?;
            self.common.notes.answered();
            let mut answers = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
            let answer = answers.next().ok_or_else(|| Failed::Malformed("no partition".into()))?;
            Failed::check(answer.error_code)?;
            if let Some(batch) = line.pending.pop_front() {
                self.acknowledged(&batch, answer.base_offset);
            }
        }
        Ok(())
    }

    fn acknowledged(&self, batch: &Pending, base_offset: i64) {
        for (&id, offset) in batch.ids.iter().zip(base_offset..) {
            let offset = (base_offset >= 0).then_some(offset);
            self.common.notes.note(Event::Acknowledged { id, offset });
        }
    }
}
