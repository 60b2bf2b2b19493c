use super::*;
use odradek_common::batch::{Compression, NO_SEQUENCE};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const CAP: usize = 1 << 20;

/// Batches written by Apache Kafka 4.1.1's Java client, one a compression.
const GOLDEN: [(Compression, &[u8]); 5] = [
    (Compression::None, include_bytes!("../../golden/none.batch")),
    (Compression::Gzip, include_bytes!("../../golden/gzip.batch")),
    (Compression::Snappy, include_bytes!("../../golden/snappy.batch")),
    (Compression::Lz4, include_bytes!("../../golden/lz4.batch")),
    (Compression::Zstd, include_bytes!("../../golden/zstd.batch")),
];

fn batch(bytes: &[u8]) -> Batch {
    Batch::split_first(&mut Bytes::copy_from_slice(bytes)).unwrap()
}

fn all(batch: &Batch) -> Result<Vec<Record>, BatchError> {
    decode(batch, CAP).unwrap().collect()
}

fn header(key: &'static str, value: Option<&'static str>) -> Header {
    Header { key: key.into(), value: value.map(Bytes::from) }
}

/// The first three records of every golden batch.
fn golden_records() -> Vec<Record> {
    let record = |offset, timestamp_ms, key: Option<&'static str>, value: Option<&'static str>| {
        let (key, value) = (key.map(Bytes::from), value.map(Bytes::from));
        Record { offset, timestamp_ms, key, value, headers: Vec::new() }
    };
    let mut records = vec![
        record(0, 1_700_000_000_000, Some("k1"), Some("v1")),
        record(1, 1_700_000_000_007, None, Some("v2")),
        record(2, 1_699_999_999_990, Some("k3"), None),
    ];
    records[0].headers = vec![header("h", Some("1")), header("h", Some("2")), header("n", None)];
    records
}

#[test]
fn batches_of_the_java_client_are_read_in_every_compression() {
    for (compression, bytes) in GOLDEN {
        let batch = batch(bytes);
        assert_eq!(batch.verify(), Ok(()));
        assert_eq!(batch.header.compression(), Ok(compression));
        let records = all(&batch).unwrap();
        assert_eq!(records[..3], golden_records(), "{compression:?}");
        if compression != Compression::None {
            assert_eq!(records[3].value.as_ref().unwrap(), &"0123456789".repeat(7000));
        }
    }
}

#[test]
fn the_builder_writes_what_the_java_client_writes() {
    let mut builder = BatchBuilder::new(CAP).producer(4000, 3, 17);
    for record in golden_records() {
        push(&mut builder, &record).unwrap();
    }
    assert_eq!(builder.build().unwrap().bytes, GOLDEN[0].1);
}

fn push(builder: &mut BatchBuilder, record: &Record) -> Result<(), BatchFull> {
    let headers: Vec<_> =
        record.headers.iter().map(|header| (&header.key[..], header.value.as_deref())).collect();
    builder.push(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &headers)
}

#[test]
fn log_append_time_is_every_records_timestamp() {
    let mut batch = batch(GOLDEN[0].1);
    batch.header.set_log_append_time(5, &batch.records());
    assert!(all(&batch).unwrap().iter().all(|record| record.timestamp_ms == 5));
}

#[test]
fn control_and_transactional_stand_in_the_attributes() {
    let mut builder = BatchBuilder::new(CAP).producer(1, 0, NO_SEQUENCE).transactional().control();
    builder.push(0, Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[]).unwrap();
    let batch = builder.build().unwrap();
    assert!(batch.header.is_control() && batch.header.is_transactional());
    assert_eq!(batch.verify(), Ok(()));
}

#[test]
fn a_full_batch_takes_no_more_and_stays_as_it_is() {
    let mut builder = BatchBuilder::new(100);
    assert!(builder.is_empty());
    builder.push(7, None, Some(b"fits"), &[]).unwrap();
    let size = builder.size_bytes();
    let full = builder.push(9, None, Some(&[0; 100]), &[]).unwrap_err();
    assert_eq!(full.cap_bytes, 100);
    let batch = builder.build().unwrap();
    assert_eq!((batch.bytes.len(), batch.header.record_count), (size, 1));
    assert_eq!((batch.header.max_timestamp, batch.verify()), (7, Ok(())));
    assert!(BatchBuilder::new(100).build().is_none());
}

#[test]
fn a_count_that_lies_is_an_error_at_its_record() {
    let mut more = batch(GOLDEN[0].1);
    more.header.record_count = i32::MAX;
    assert!(matches!(all(&more), Err(BatchError::Record { index: 3, .. })));
    let mut fewer = batch(GOLDEN[0].1);
    fewer.header.record_count = 2;
    assert!(matches!(all(&fewer), Err(BatchError::Record { index: 2, .. })));
    let mut walk = decode(&fewer, CAP).unwrap();
    assert_eq!(walk.by_ref().count(), 3);
    assert!(walk.next().is_none(), "a walk that has ended stays so");
}

/// Two bytes each on the wire, many more in memory.
#[test]
fn headers_without_end_are_not_taken() {
    for (more, taken) in [(0, true), (1, false)] {
        let count = usize::try_from(RECORD_HEADERS).unwrap() + more;
        let mut builder = BatchBuilder::new(4 << 20);
        builder.push(1, None, None, &vec![(&b""[..], None); count]).unwrap();
        let batch = builder.build().unwrap();
        let read = decode(&batch, 4 << 20).unwrap().next().unwrap();
        let what = "more headers than are taken";
        let refused = Err(BatchError::Record { index: 0, what });
        assert_eq!(read.map(|r| r.headers.len()), if taken { Ok(count) } else { refused });
        assert_eq!(heads(&batch, 4 << 20).unwrap().filter(Result::is_ok).count(), 1);
    }
}

#[test]
fn gaps_between_offsets_are_taken() {
    let mut gapped = GOLDEN[0].1.to_vec();
    // The last record's length, attributes, timestamp delta and offset delta.
    let last = gapped.len() - 9;
    assert_eq!(gapped[last..last + 4], [16, 0, 19, 4]);
    gapped[last + 3] = 40;
    let records = all(&batch(&gapped)).unwrap();
    assert_eq!(records[2].offset, 20);
}

prop_compose! {
    fn record()(
        timestamp_ms: i64,
        key in option::of(vec(any::<u8>(), 0..20)),
        value in option::of(vec(any::<u8>(), 0..200)),
        headers in vec((vec(any::<u8>(), 0..5), option::of(vec(any::<u8>(), 0..5))), 0..4),
    ) -> Record {
        let headers = headers.into_iter()
            .map(|(key, value)| Header { key: key.into(), value: value.map(Bytes::from) })
            .collect();
        Record {
            offset: 0, timestamp_ms, headers,
            key: key.map(Bytes::from), value: value.map(Bytes::from),
        }
    }
}

proptest! {
    #[test]
    fn what_was_built_is_decoded(mut records in vec(record(), 1..20), base_offset in 0..1_000_i64) {
        let mut builder = BatchBuilder::new(CAP);
        for (offset, record) in (base_offset..).zip(&mut records) {
            push(&mut builder, record).unwrap();
            record.offset = offset;
        }
        let mut batch = builder.build().unwrap();
        prop_assert_eq!(batch.verify(), Ok(()));
        prop_assert_eq!(
            batch.header.max_timestamp,
            records.iter().map(|record| record.timestamp_ms).max().unwrap()
        );
        batch.header.base_offset = base_offset;
        prop_assert_eq!(all(&batch), Ok(records));
    }

    #[test]
    fn damaged_records_never_panic(codec in 0_usize..5, at: usize, byte: u8, count: i32) {
        let mut bytes = GOLDEN[codec].1.to_vec();
        let at = 61 + at % (bytes.len() - 61);
        bytes[at] = byte;
        let mut damaged = batch(&bytes);
        damaged.header.record_count = count;
        if let Ok(records) = decode(&damaged, CAP) {
            let _ = records.count();
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300), count: i32) {
        let mut any = batch(GOLDEN[0].1);
        any.header.record_count = count;
        any.bytes = [&GOLDEN[0].1[..61], &bytes].concat().into();
        let _ = decode(&any, CAP).unwrap().count();
    }
}
