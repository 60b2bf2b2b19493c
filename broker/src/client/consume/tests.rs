use super::*;
use odradek_common::batch::{BatchHeader, HEADER_LENGTH, LOG_OVERHEAD};
use odradek_protocol::records::BatchBuilder;

fn consumer(position: Position, left: Option<u64>) -> Consumer {
    Consumer {
        cluster: Cluster::at("localhost:9092"),
        topic: "t".into(),
        style: Style::Value,
        positions: BTreeMap::from([(0, position)]),
        left,
        rounds: 0,
        busy: false,
    }
}

fn batch(base_offset: i64, values: &[&str], control: bool) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1 << 20);
    if control {
        builder = builder.control();
    }
    for value in values {
        builder.push(1, None, Some(value.as_bytes()), &[]).unwrap();
    }
    let mut bytes = builder.build().unwrap().bytes.to_vec();
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes
}

fn printed(consumer: &mut Consumer, records: Vec<u8>) -> Result<String, ClientError> {
    let mut out = Vec::new();
    let data = PartitionData::default().with_records(Some(records.into()));
    consumer.print(data, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_start_is_within_what_there_is() {
    let at = |from, exit| Position::new(1, from, 10, 20, exit);
    let beginning = Position { leader: 1, next: 10, first: 10, end: None };
    assert_eq!(at(StartAt::Beginning, false), beginning);
    assert_eq!(at(StartAt::End, false).next, 20);
    assert!(at(StartAt::End, true).is_done());
    assert_eq!(at(StartAt::Offset(3), false).next, 10);
    let later = at(StartAt::Offset(25), false);
    assert_eq!((later.next, later.first), (20, 25));
    assert!(at(StartAt::Offset(25), true).is_done());
}

#[test]
fn only_what_was_asked_for_is_printed() {
    let position = Position { leader: 1, next: 11, first: 11, end: Some(14) };
    let mut consumer = consumer(position, None);
    let mut records = batch(10, &["a", "b", "c"], false);
    records.extend(batch(13, &["d", "e"], false));
    assert_eq!(printed(&mut consumer, records).unwrap(), "b\nc\nd\n");
    assert!(consumer.is_done());
}

#[test]
fn control_records_are_passed_over() {
    let position = Position { leader: 1, next: 0, first: 0, end: None };
    let mut consumer = consumer(position, None);
    let mut records = batch(0, &["marker"], true);
    records.extend(batch(1, &["a"], false));
    assert_eq!(printed(&mut consumer, records).unwrap(), "a\n");
    assert_eq!(consumer.positions[&0].next, 2);
    assert!(consumer.busy && !consumer.is_done());
}

#[test]
fn a_count_is_held() {
    let position = Position { leader: 1, next: 0, first: 0, end: None };
    let mut consumer = consumer(position, Some(2));
    assert_eq!(printed(&mut consumer, batch(0, &["a", "b", "c"], false)).unwrap(), "a\nb\n");
    assert!(consumer.is_done());
}

#[test]
fn damage_and_standstill_are_errors() {
    let position = Position { leader: 1, next: 0, first: 0, end: None };
    let mut damaged = batch(0, &["abc"], false);
    *damaged.last_mut().unwrap() ^= 1;
    let mut cut = batch(0, &["abc"], false);
    cut.pop();
    let mut empty = consumer(position, None);
    assert_eq!(printed(&mut empty, Vec::new()).unwrap(), "");
    for records in [damaged, cut] {
        let mut consumer = consumer(position, None);
        let error = printed(&mut consumer, records).unwrap_err();
        assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
    }
}

/// A batch of which it is said that `records` are compressed.
fn compressed(compression: i16, records: &[u8]) -> Vec<u8> {
    let mut header = BatchHeader::parse(&batch(0, &["a"], false)).unwrap();
    header.attributes = compression;
    header.batch_length = i32::try_from(HEADER_LENGTH - LOG_OVERHEAD + records.len()).unwrap();
    header.set_crc(records);
    [&header.encode()[..], records].concat()
}

/// What a broker answers may decompress to anything.
#[test]
fn a_bomb_is_malformed() {
    let position = Position { leader: 1, next: 0, first: 0, end: None };
    // Snappy that announces one byte more than is taken, and can hold as much.
    let mut bomb = Vec::new();
    let mut announced = CLIENT_BATCH_BYTES + 1;
    while announced > 0x7f {
        bomb.push(u8::try_from(announced & 0x7f).unwrap() | 0x80);
        announced >>= 7;
    }
    bomb.push(u8::try_from(announced).unwrap());
    bomb.extend(vec![0; CLIENT_BATCH_BYTES / 20]);
    // A frame of zstd that wants a window of 256 MiB.
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x90, 0x01, 0x00, 0x00];
    for (compression, records, reason) in
        [(2, &bomb[..], "decompress to more than 268435456 bytes"), (4, &wide, "malformed Zstd")]
    {
        let mut consumer = consumer(position, None);
        let error = printed(&mut consumer, compressed(compression, records)).unwrap_err();
        assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_fetch_asks_for_what_is_not_done_at_its_leader() {
    let mut consumer = consumer(Position { leader: 1, next: 5, first: 5, end: None }, None);
    consumer.positions.insert(1, Position { leader: 1, next: 7, first: 0, end: None });
    consumer.positions.insert(2, Position { leader: 2, next: 9, first: 0, end: Some(9) });
    consumer.rounds = 1;
    let requests = consumer.requests(500);
    assert_eq!(requests.keys().copied().collect::<Vec<_>>(), [1]);
    let request = &requests[&1];
    assert_eq!((request.max_wait_ms, request.session_epoch, request.min_bytes), (500, -1, 1));
    let asked = request.topics[0].partitions.iter().map(|at| (at.partition, at.fetch_offset));
    assert_eq!(asked.collect::<Vec<_>>(), [(1, 7), (0, 5)]);
}
