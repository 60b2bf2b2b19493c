//! Timestamps with a meaning of their own in ListOffsets.

use bytes::Bytes;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};
use odradek_protocol::records::BatchBuilder;

use super::kafka::{delete_records, on_a_broker, produce};
use super::wire::{Wire, name};

const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
const UNSUPPORTED_VERSION: i16 = 35;
/// No error, and no such offset.
const NONE: (i16, i64, i64) = (0, -1, -1);

/// What is told of topic `t`: the code, an offset and a timestamp.
pub async fn listed(wire: &mut Wire, version: i16, timestamp: i64) -> (i16, i64, i64) {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request =
        ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let answer = wire.call(&request, version).await.unwrap();
    let told = &answer.topics[0].partitions[0];
    (told.error_code, told.offset, told.timestamp)
}

/// A batch of a record for each timestamp.
fn dated(timestamps: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new(1 << 20);
    for timestamp in timestamps {
        builder.push(*timestamp, None, Some(b"v"), &[]).unwrap();
    }
    builder.build().unwrap().bytes
}

#[test]
fn the_largest_timestamp_is_that_of_what_is_left() {
    on_a_broker(async |wire| {
        wire.create("t", 1).await.unwrap();
        assert_eq!(listed(wire, 7, MAX_TIMESTAMP).await, NONE);
        produce(wire, dated(&[9_000, 1_000, 4_000, 2_000])).await;
        produce(wire, dated(&[3_000, 4_000])).await;
        produce(wire, dated(&[1_000, 3_000])).await;
        assert_eq!(listed(wire, 7, MAX_TIMESTAMP).await, (0, 0, 9_000));
        // The log start lies within the batch that states the largest, and within what has it.
        for (log_start, told) in [(1, (0, 2, 4_000)), (3, (0, 5, 4_000)), (6, (0, 7, 3_000))] {
            delete_records(wire, log_start).await;
            assert_eq!(listed(wire, 7, MAX_TIMESTAMP).await, told, "from {log_start} on");
        }
        delete_records(wire, 8).await;
        assert_eq!(listed(wire, 7, MAX_TIMESTAMP).await, NONE);
    });
}

/// As Kafka without tiers.
#[test]
fn nothing_is_tiered() {
    on_a_broker(async |wire| {
        wire.create("t", 1).await.unwrap();
        produce(wire, dated(&[1_000, 2_000, 3_000])).await;
        delete_records(wire, 1).await;
        assert_eq!(listed(wire, 8, EARLIEST_LOCAL).await, (0, 1, -1));
        assert_eq!(listed(wire, 9, LATEST_TIERED).await, NONE);
    });
}

/// A client of such a version would take the answer for that of a search by time.
#[test]
fn what_a_version_does_not_know_is_refused() {
    on_a_broker(async |wire| {
        wire.create("t", 1).await.unwrap();
        produce(wire, dated(&[1_000])).await;
        let refused = (UNSUPPORTED_VERSION, -1, -1);
        let below = [
            (1, MAX_TIMESTAMP),
            (6, MAX_TIMESTAMP),
            (7, EARLIEST_LOCAL),
            (8, LATEST_TIERED),
            (10, EARLIEST_PENDING_UPLOAD),
            (10, -7),
            (10, i64::MIN),
        ];
        for (version, timestamp) in below {
            let told = listed(wire, version, timestamp).await;
            assert_eq!(told, refused, "{timestamp} in version {version}");
        }
    });
}
