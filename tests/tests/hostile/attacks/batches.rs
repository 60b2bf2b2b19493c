//! Record batches that are none.

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use odradek_common::batch::BatchHeader;
use tokio::task::JoinSet;

use super::answers::{WIDE_PARTITIONS, WIDE_TOPIC, wide};
use crate::batch::{Maker, produce, produce_request, put_record, put_varint};
use crate::target::Target;
use crate::wire::{ANSWER_LIMIT, Outcome, Peer, decoded, framed};

const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const UNSUPPORTED_COMPRESSION: i16 = 76;
const INVALID_RECORD: i16 = 87;
const TOPIC: &str = "malformed";

fn good() -> Maker {
    Maker::of(&[(Some(b"k"), b"one"), (None, b"two")])
}

/// A record whose body is these bytes, as the only one of a batch.
fn with_body(body: &[u8]) -> Bytes {
    let mut records = Vec::new();
    put_varint(&mut records, i64::try_from(body.len()).unwrap_or(i64::MAX));
    records.extend(body);
    Maker::new(records, 1).build()
}

/// A record whose length, key length or such like is `number`.
fn number(before: &[u8], number: i64) -> Bytes {
    let mut body = before.to_vec();
    put_varint(&mut body, number);
    with_body(&body)
}

fn patched(at: usize, bytes: &[u8]) -> Bytes {
    let mut batch = good().build().to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    batch.into()
}

/// What is sent, by name, with the code that Kafka answers.
fn cases() -> Vec<(&'static str, Bytes, i16)> {
    let length = |by: i32| {
        let length = i32::try_from(good().build().len() - 12).unwrap_or(0) + by;
        patched(8, &length.to_be_bytes())
    };
    let mut from_three = Vec::new();
    put_record(&mut from_three, 3, None, b"v");
    let mut from_minus_one = Vec::new();
    put_record(&mut from_minus_one, -1, None, b"v");
    vec![
        ("no bytes", Bytes::new(), INVALID_RECORD),
        ("a wrong CRC", patched(17, &[1, 2, 3, 4]), CORRUPT_MESSAGE),
        ("a flipped bit", patched(70, &[0xee]), CORRUPT_MESSAGE),
        ("magic 0", patched(16, &[0]), INVALID_RECORD),
        ("magic 1", patched(16, &[1]), INVALID_RECORD),
        ("magic 3", patched(16, &[3]), CORRUPT_MESSAGE),
        ("magic -1", patched(16, &[0xff]), CORRUPT_MESSAGE),
        ("a length too long", length(1), INVALID_RECORD),
        ("a length too short", length(-1), CORRUPT_MESSAGE),
        ("a length of 2^31-1", patched(8, &i32::MAX.to_be_bytes()), INVALID_RECORD),
        ("a length of -1", patched(8, &[0xff; 4]), CORRUPT_MESSAGE),
        ("a length of 0", patched(8, &[0; 4]), CORRUPT_MESSAGE),
        ("a header cut short", good().build().slice(..40), INVALID_RECORD),
        ("two batches", [good().build(), good().build()].concat().into(), INVALID_RECORD),
        (
            "more records than there are",
            good().with(|h| (h.record_count, h.last_offset_delta) = (3, 2)).build(),
            INVALID_RECORD,
        ),
        (
            "2^31-1 records",
            good()
                .with(|h| (h.record_count, h.last_offset_delta) = (i32::MAX, i32::MAX - 1))
                .build(),
            INVALID_RECORD,
        ),
        (
            "fewer records than there are",
            good().with(|h| (h.record_count, h.last_offset_delta) = (1, 0)).build(),
            INVALID_RECORD,
        ),
        ("no record", good().with(|h| h.record_count = 0).build(), INVALID_RECORD),
        ("-1 records", good().with(|h| h.record_count = -1).build(), INVALID_RECORD),
        (
            "a count that is not the delta's",
            good().with(|h| h.last_offset_delta = 7).build(),
            INVALID_RECORD,
        ),
        (
            "a negative last offset delta",
            good().with(|h| h.last_offset_delta = -2).build(),
            INVALID_RECORD,
        ),
        ("an offset delta of 3", Maker::new(from_three, 1).build(), INVALID_RECORD),
        ("an offset delta of -1", Maker::new(from_minus_one, 1).build(), INVALID_RECORD),
        ("a key of 2^31-1 bytes", number(&[0, 0, 0], i32::MAX.into()), INVALID_RECORD),
        ("a key of -2 bytes", number(&[0, 0, 0], -2), INVALID_RECORD),
        ("a value of 2^31-1 bytes", number(&[0, 0, 0, 1], i32::MAX.into()), INVALID_RECORD),
        ("2^31-1 headers", number(&[0, 0, 0, 1, 1], i32::MAX.into()), INVALID_RECORD),
        ("-1 headers", number(&[0, 0, 0, 1, 1], -1), INVALID_RECORD),
        ("a number without end", with_body(&[0xff; 30]), INVALID_RECORD),
        ("control records", good().with(|h| h.attributes |= 0x20).build(), INVALID_RECORD),
        ("compression 7", good().compressed(7).build(), UNSUPPORTED_COMPRESSION),
        (
            "more than max.message.bytes",
            Maker::of(&[(None, &vec![7; 2 << 20])]).build(),
            MESSAGE_TOO_LARGE,
        ),
    ]
}

/// One good record beside 20 MB of a batch that is refused, 40 times: what is kept of the frame is the
/// record.
pub async fn padded_frames(target: &Target) -> Result<String> {
    const FRAMES: usize = 40;
    const PADDING: usize = 20 << 20;
    const TOPIC: &str = "padded";
    target.create(TOPIC, 2, &[]).await?;
    let padding = Bytes::from(vec![0; PADDING]);
    let before = target.resident()?;
    let mut peer = Peer::open(target.kafka).await?;
    for _ in 0..FRAMES {
        let mut request = produce_request(TOPIC, Some(good().build()));
        let refused =
            PartitionProduceData::default().with_index(1).with_records(Some(padding.clone()));
        request.topic_data[0].partition_data.push(refused);
        let answer = peer.call(&request, 9).await?;
        let codes: Vec<i16> =
            answer.responses[0].partition_responses.iter().map(|p| p.error_code).collect();
        ensure!(codes == [0, INVALID_RECORD], "{codes:?}");
    }
    let kept = target.resident()?.saturating_sub(before);
    ensure!(kept < 200 << 20, "{} MiB are kept of {FRAMES} records", kept >> 20);
    Ok(format!("{} MiB kept", kept >> 20))
}

/// Batches of ever new producers to a topic that is not there: each is remembered as refused, until the
/// connection is closed.
pub async fn refused_producers(target: &Target) -> Result<String> {
    const AT_ONCE: i64 = 1_000;
    const REQUESTS: i64 = 1_000;
    let topic = "n".repeat(249);
    let mut peer = Peer::open(target.kafka).await?;
    for request in 0..REQUESTS {
        let numbered = |producer: i64| {
            let numbers = |h: &mut BatchHeader| {
                (h.producer_id, h.producer_epoch, h.base_sequence) = (producer, 0, 0);
            };
            let records = Some(good().with(numbers).build());
            PartitionProduceData::default().with_index(0).with_records(records)
        };
        let mut all = produce_request(&topic, None);
        let producers = request * AT_ONCE..(request + 1) * AT_ONCE;
        all.topic_data[0].partition_data = producers.map(numbered).collect();
        peer.send(&framed(&all, 9)?).await?;
        match peer.outcome(ANSWER_LIMIT).await? {
            Outcome::Answer(answer) => {
                let answer = decoded::<ProduceRequest>(answer, 9)?;
                let codes = answer.responses[0].partition_responses.iter().map(|p| p.error_code);
                ensure!(codes.clone().all(|code| code == UNKNOWN_TOPIC), "{:?}", codes.max());
            }
            Outcome::Closed => return Ok(format!("closed after {request} requests")),
            Outcome::Silence => bail!("request {request} is not answered"),
        }
    }
    bail!("{} producers are remembered", REQUESTS * AT_ONCE)
}

/// More than a million batches of one small record: what is kept in memory of them is counted as what it takes.
pub async fn tiny_batches(target: &Target) -> Result<String> {
    const CONNECTIONS: usize = 4;
    const REQUESTS: usize = 600;
    wide(target).await?;
    let batch = Maker::of(&[(None, b"v")]).build();
    let to =
        |index| PartitionProduceData::default().with_index(index).with_records(Some(batch.clone()));
    let mut request = produce_request(WIDE_TOPIC, None);
    request.topic_data[0].partition_data = (0..WIDE_PARTITIONS).map(to).collect();
    let frame = framed(&request, 9)?;
    let mut producers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (address, frame) = (target.kafka, frame.clone());
        producers.spawn(async move {
            let mut peer = Peer::open(address).await?;
            peer.send(&frame).await?;
            for request in 0..REQUESTS {
                // One is always under way.
                if request + 1 < REQUESTS {
                    peer.send(&frame).await?;
                }
                let answer = peer.answer::<ProduceRequest>(9).await?;
                let mut answered = answer.responses.iter().flat_map(|t| &t.partition_responses);
                let refused = answered.find(|p| p.error_code != 0).map(|p| p.error_code);
                ensure!(refused.is_none(), "request {request}: {refused:?}");
            }
            Ok(())
        });
    }
    while let Some(done) = producers.join_next().await {
        done??;
    }
    let batches = CONNECTIONS * REQUESTS * request.topic_data[0].partition_data.len();
    Ok(format!("{batches} batches"))
}

/// Each is answered with Kafka's code, nothing is appended, and the connection stays.
pub async fn malformed_batches(target: &Target) -> Result<String> {
    target.create(TOPIC, 1, &[]).await?;
    let mut peer = Peer::open(target.kafka).await?;
    let mut wrong = Vec::new();
    for (what, records, code) in cases() {
        let answer = produce(&mut peer, TOPIC, records).await?;
        if answer.error_code != code {
            wrong.push(format!("{what}: {}, not {code}", answer.error_code));
        }
        ensure!(answer.base_offset == -1, "{what}: base offset {}", answer.base_offset);
    }
    let answer = peer.call(&produce_request(TOPIC, None), 9).await?;
    let code = answer.responses[0].partition_responses[0].error_code;
    if code != INVALID_RECORD {
        wrong.push(format!("null records: {code}, not {INVALID_RECORD}"));
    }
    let zstd = produce_request(TOPIC, Some(good().compressed(4).build()));
    let answer = peer.call(&zstd, 6).await?;
    let code = answer.responses[0].partition_responses[0].error_code;
    if code != UNSUPPORTED_COMPRESSION {
        wrong.push(format!("zstd in version 6: {code}, not {UNSUPPORTED_COMPRESSION}"));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    let appended = produce(&mut peer, TOPIC, good().build()).await?;
    ensure!(appended.error_code == 0 && appended.base_offset == 0, "afterwards: {appended:?}");
    Ok(format!("{} cases: 2, 10, 76, 87", cases().len() + 2))
}
