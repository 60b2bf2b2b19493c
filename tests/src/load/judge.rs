//! After a start: what the clients were promised has to be there.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;
use tokio::time::Instant;

use super::overheard::Overheard;
use super::readers::{GROUP, Readers};
use super::{Record, consumer};
use crate::history::{Content, Event, Place, Reader};
use crate::program::say;
use crate::wait::within;

/// The client that looks.
type Looking = BaseConsumer<Overheard>;

/// How long the clients may take to be served again, and the log to be read.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a question may take, and each try of it: what a client waits for in the first may have come by the next.
const QUESTION_LIMIT: Duration = Duration::from_secs(20);
const TRY_LIMIT: Duration = Duration::from_secs(3);
/// Before that is asked for again which has gone to another broker, or is on its way.
const AGAIN_PAUSE: Duration = Duration::from_millis(100);

/// Waits until every record that was sent has its answer.
pub async fn settle(record: &Record) -> Result<()> {
    let settled = within(LIMIT, "every record is answered", async || Ok(record.unanswered() == 0));
    settled.await.with_context(|| format!("{} records are unanswered", record.unanswered()))
}

/// Waits until the readers have read to these ends.
pub async fn caught_up(readers: &Readers, ends: &BTreeMap<Place, i64>) -> Result<()> {
    let waited = within(LIMIT, "the readers read on", async || Ok(readers.behind(ends).is_none()));
    waited.await.with_context(|| readers.behind(ends).unwrap_or_default())
}

/// Notes bounds, contents and committed offsets of all partitions, and answers their ends. Nobody
/// may produce meanwhile.
pub async fn look(client: &ClientConfig, record: &Record) -> Result<BTreeMap<Place, i64>> {
    let (client, record) = (client.clone(), record.clone());
    tokio::task::spawn_blocking(move || {
        let mut config = Overheard::listen(consumer(&client));
        let consumer = config.set("group.id", GROUP).create_with_context(Overheard::new())?;
        let looked = look_with(&consumer, &record);
        if looked.is_err() {
            Overheard::hear(&consumer);
            say(&format!("what the client that looks said last:\n{}", consumer.context().lines()))?;
        }
        looked
    })
    .await?
}

fn look_with(consumer: &Looking, record: &Record) -> Result<BTreeMap<Place, i64>> {
    let ends = bounds(consumer, record)?;
    committed(consumer, record).context("the committed offsets")?;
    scan(consumer, record, &ends)?;
    // Deletion may have overtaken the scan; the starts of now say how far.
    bounds(consumer, record)
}

fn bounds(consumer: &Looking, record: &Record) -> Result<BTreeMap<Place, i64>> {
    let mut ends = BTreeMap::new();
    for place in record.places() {
        let topic = record.topic_of(place).name;
        let asked = watermarks(consumer, topic, place.partition);
        let (start, end) = asked.with_context(|| format!("the bounds of {place}"))?;
        record.note(Event::Bounds { place, start, end });
        ends.insert(place, end);
    }
    Ok(ends)
}

/// Where a partition begins and ends.
fn watermarks(consumer: &Looking, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
    while_it_moves(|| consumer.fetch_watermarks(topic, partition, TRY_LIMIT))
}

/// Asks again what has gone to another broker meanwhile, or comes from one. The client finds it there, but gives
/// its user the first answer, where other clients try again.
fn while_it_moves<T>(ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    let begun = Instant::now();
    loop {
        match ask() {
            Err(error) if moves(&error) && begun.elapsed() < QUESTION_LIMIT => {
                std::thread::sleep(AGAIN_PAUSE);
            }
            asked => return asked,
        }
    }
}

fn moves(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::UnknownLeaderEpoch
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::CoordinatorNotAvailable
        )
    )
}

fn committed(consumer: &Looking, record: &Record) -> Result<()> {
    let mut asked = TopicPartitionList::new();
    let mut questions = Vec::new();
    for place in record.places() {
        asked.add_partition(record.topic_of(place).name, place.partition);
        let ask = record.unique();
        record.note(Event::OffsetAsked { ask, place });
        questions.push((ask, place));
    }
    let answer = while_it_moves(|| {
        // The client's answers stand in the list that it is given.
        consumer.committed_offsets(asked.clone(), TRY_LIMIT)
    })?;
    for (ask, place) in questions {
        let found = answer.find_partition(record.topic_of(place).name, place.partition);
        let found = found.context("OffsetFetch left a partition out")?;
        found.error()?;
        let offset = match found.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        record.note(Event::OffsetAnswered { ask, offset });
    }
    Ok(())
}

/// Reads every partition from its beginning to its end.
fn scan(consumer: &Looking, record: &Record, ends: &BTreeMap<Place, i64>) -> Result<()> {
    let mut from = TopicPartitionList::new();
    // What is still to be read: the pass and the end.
    let mut open = BTreeMap::new();
    for (&place, &until) in ends {
        let pass = record.unique();
        record.note(Event::PassBegan { pass, place, reader: Reader::Scan { until } });
        from.add_partition_offset(record.topic_of(place).name, place.partition, Offset::Beginning)?;
        open.insert(place, (pass, until));
    }
    consumer.assign(&from)?;
    let limit = Instant::now() + LIMIT;
    loop {
        let overtaken = end_what_is_gone(consumer, record, &mut open);
        if open.is_empty() {
            return Ok(());
        }
        overtaken?;
        read_while_it_flows(consumer, record, &mut open)?;
        if Instant::now() >= limit {
            bail!("not read to the end within {LIMIT:?}: {open:?}");
        }
    }
}

type Open = BTreeMap<Place, (u64, i64)>;

/// Reads until nothing came for a moment or all is read.
fn read_while_it_flows(consumer: &Looking, record: &Record, open: &mut Open) -> Result<()> {
    const QUIET: Duration = Duration::from_millis(300);
    while !open.is_empty() {
        let Some(polled) = consumer.poll(QUIET) else { return Ok(()) };
        // A connection that was lost is made again.
        let Ok(message) = polled else { continue };
        let place = record.place_of(message.topic(), message.partition());
        let place = place.context("a record of a topic that was not asked for")?;
        let Some(&(pass, until)) = open.get(&place) else { continue };
        let offset = message.offset();
        if offset < until {
            record.note(Event::Read { pass, offset, content: Content::decode(message.payload()) });
        }
        if offset >= until - 1 {
            record.note(Event::ScanEnded { pass });
            open.remove(&place);
        }
    }
    Ok(())
}

/// Ends the passes over partitions of which nothing is left to be read.
fn end_what_is_gone(consumer: &Looking, record: &Record, open: &mut Open) -> Result<()> {
    for (place, (pass, until)) in open.clone() {
        let (topic, partition) = (record.topic_of(place).name, place.partition);
        let (start, _) = watermarks(consumer, topic, partition)?;
        if start >= until {
            record.note(Event::ScanEnded { pass });
            open.remove(&place);
        }
    }
    Ok(())
}
