use super::*;
use proptest::prelude::*;

fn varint(value: i64) -> Vec<u8> {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut out = Vec::new();
    while raw >= 0x80 {
        out.push(u8::try_from(raw & 0x7f).unwrap() | 0x80);
        raw >>= 7;
    }
    out.push(u8::try_from(raw).unwrap());
    out
}

fn record(delta: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(varint(7));
    body.extend(varint(delta));
    for part in [key, value] {
        match part {
            None => body.extend(varint(-1)),
            Some(bytes) => {
                body.extend(varint(i64::try_from(bytes.len()).unwrap()));
                body.extend(bytes);
            }
        }
    }
    // Two headers of the same key: both must survive.
    body.extend(varint(2));
    for value in [b"1", b"2"] {
        body.extend(varint(1));
        body.extend(b"h");
        body.extend(varint(1));
        body.extend(value);
    }
    let mut out = varint(i64::try_from(body.len()).unwrap());
    out.extend(body);
    out
}

fn batch_of(records: &[u8], count: i32) -> Bytes {
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: i32::try_from(records.len() + HEADER_LENGTH - LOG_OVERHEAD).unwrap(),
        leader_epoch: -1,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 1000,
        max_timestamp: 1007,
        producer_id: 4,
        producer_epoch: 1,
        base_sequence: i32::MAX,
        record_count: count,
    };
    header.set_crc(records);
    let mut bytes = header.encode().to_vec();
    bytes.extend(records);
    bytes.into()
}

fn two_records() -> Bytes {
    let mut records = record(0, Some(b"k"), Some(b"v"));
    records.extend(record(1, None, None));
    batch_of(&records, 2)
}

#[test]
fn a_good_batch_is_taken_and_walked() {
    let mut bytes = two_records();
    let batch = Batch::split_first(&mut bytes).unwrap();
    assert!(bytes.is_empty());
    assert_eq!(batch.verify(), Ok(()));
    assert_eq!(batch.header.last_sequence(), 0, "the sequence wraps to 0");
    let records = batch.records();
    let seen: Vec<_> = Records::new(&records, 2).map(Result::unwrap).collect();
    assert_eq!(seen[0].key, Some(&b"k"[..]));
    assert_eq!((seen[1].key, seen[1].value), (None, None));
}

#[test]
fn patched_offset_and_epoch_leave_the_crc_true() {
    let batch = Batch::split_first(&mut two_records()).unwrap();
    let header = BatchHeader { base_offset: 99, leader_epoch: 5, ..batch.header };
    let mut bytes = header.encode().to_vec();
    bytes.extend(batch.records());
    let patched = Batch::split_first(&mut bytes.into()).unwrap();
    assert_eq!(patched.verify(), Ok(()));
    assert_eq!(patched.header.last_offset(), 100);
}

#[test]
fn log_append_time_is_covered_by_the_crc() {
    let batch = Batch::split_first(&mut two_records()).unwrap();
    let mut header = batch.header;
    header.set_log_append_time(5_000, &batch.records());
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
    let mut bytes = header.encode().to_vec();
    bytes.extend(batch.records());
    assert_eq!(Batch::split_first(&mut bytes.into()).unwrap().verify(), Ok(()));
}

#[test]
fn lies_are_told_apart() {
    let good = two_records();
    let mut wrong_crc = good.to_vec();
    *wrong_crc.last_mut().unwrap() ^= 1;
    let batch = Batch::split_first(&mut wrong_crc.into()).unwrap();
    assert!(matches!(batch.verify(), Err(BatchError::Crc { .. })));

    let records = record(0, None, None);
    let lying = Batch::split_first(&mut batch_of(&records, 2)).unwrap();
    assert!(matches!(lying.verify(), Err(BatchError::Record { index: 1, .. })));

    let mut old_magic = good.to_vec();
    old_magic[16] = 1;
    assert_eq!(Batch::split_first(&mut old_magic.into()), Err(BatchError::Magic(1)));
}

#[test]
fn a_batch_cut_off_at_the_end_is_left_out() {
    let mut bytes = two_records().to_vec();
    bytes.extend(&two_records()[..70]);
    assert_eq!(batches(bytes.into()).count(), 1);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for batch in batches(bytes.into()).flatten() {
            let _ = batch.verify();
            let _ = batch.header.last_sequence();
        }
    }

    #[test]
    fn header_round_trips(base_offset: i64, crc: u32, attributes: i16, pid: i64, sequence: i32) {
        let batch = Batch::split_first(&mut two_records()).unwrap();
        let header = BatchHeader {
            base_offset, crc, attributes, producer_id: pid, base_sequence: sequence, ..batch.header
        };
        prop_assert_eq!(BatchHeader::parse(&header.encode()), Ok(header));
    }
}
