//! Golden bytes come from Kafka 4.1.1's own serializers.

use bytes::Bytes;
use odradek_common::ids::TopicId;
use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Bytes {
    let digit = |i| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn offset() -> OffsetRecord {
    OffsetRecord {
        offset: 100,
        leader_epoch: Some(10),
        metadata: "meta".into(),
        commit_ms: 1234,
        expire_ms: None,
        topic_id: None,
    }
}

fn group() -> GroupRecord {
    let member = MemberRecord {
        id: "m-1".into(),
        instance_id: Some("inst".into()),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        rebalance_timeout_ms: 300_000,
        session_timeout_ms: 45_000,
        subscription: Bytes::from_static(&[1, 2, 3]),
        assignment: Bytes::from_static(&[4, 5]),
    };
    GroupRecord {
        protocol_type: Some("consumer".into()),
        generation: 7,
        protocol: Some("range".into()),
        leader: Some("m-1".into()),
        state_since_ms: Some(9999),
        members: vec![member],
    }
}

#[test]
fn keys_are_those_of_kafka() {
    let key = hex("0001000567726f75700005746f70696300000003");
    assert_eq!(RecordKey::encode_offset("group", "topic", 3).unwrap(), key);
    let decoded = RecordKey::Offset { group: "group".into(), topic: "topic".into(), partition: 3 };
    assert_eq!(RecordKey::decode(&key), Ok(decoded.clone()));
    let legacy = hex("0000000567726f75700005746f70696300000003");
    assert_eq!(RecordKey::decode(&legacy), Ok(decoded));
    let key = hex("0002000567726f7570");
    assert_eq!(RecordKey::encode_group("group").unwrap(), key);
    assert_eq!(RecordKey::decode(&key), Ok(RecordKey::Group("group".into())));
    assert_eq!(RecordKey::decode(&hex("000f0001")), Ok(RecordKey::Unknown(15)));
}

#[test]
fn offsets_are_written_as_kafka_writes_them() {
    let expected = hex("000400000000000000640000000a056d65746100000000000004d200");
    assert_eq!(offset().encode().unwrap(), expected);
    let bare = OffsetRecord { leader_epoch: None, metadata: "".into(), ..offset() };
    let expected = hex("00040000000000000064ffffffff0100000000000004d200");
    assert_eq!(bare.encode().unwrap(), expected);
    let id = TopicId::from_slice(&hex("00000000000000010000000000000002")).unwrap();
    let with_id = OffsetRecord { topic_id: Some(id), ..offset() };
    let expected = hex(
        "000400000000000000640000000a056d65746100000000000004d201001000000000000000010000000000000002",
    );
    assert_eq!(with_id.encode().unwrap(), expected);
    assert_eq!(OffsetRecord::decode(&expected).unwrap(), with_id);
    let expiring = OffsetRecord { expire_ms: Some(5678), ..offset() };
    let expected = hex("0001000000000000006400046d65746100000000000004d2000000000000162e");
    assert_eq!(expiring.encode().unwrap(), expected);
}

#[test]
fn offsets_of_all_versions_are_read() {
    let old = OffsetRecord { leader_epoch: None, ..offset() };
    let expiring = OffsetRecord { expire_ms: Some(5678), ..old.clone() };
    for (bytes, expected) in [
        ("0000000000000000006400046d65746100000000000004d2", &old),
        ("0001000000000000006400046d65746100000000000004d2000000000000162e", &expiring),
        ("0002000000000000006400046d65746100000000000004d2", &old),
        ("000300000000000000640000000a00046d65746100000000000004d2", &offset()),
        ("000400000000000000640000000a056d65746100000000000004d200", &offset()),
    ] {
        assert_eq!(&OffsetRecord::decode(&hex(bytes)).unwrap(), expected);
    }
    let newer = OffsetRecord::decode(&hex("0005"));
    assert!(matches!(newer, Err(FormatError::Version { version: 5, .. })));
}

#[test]
fn groups_are_written_as_kafka_writes_them() {
    let expected = hex(
        "00030008636f6e73756d657200000007000572616e676500036d2d31000000000000270f0000000100036d2d310004696e73740006636c69656e74000a2f3132372e302e302e31000493e00000afc800000003010203000000020405",
    );
    assert_eq!(group().encode().unwrap(), expected);
    let empty = GroupRecord {
        protocol_type: None,
        generation: 0,
        protocol: None,
        leader: None,
        members: vec![],
        ..group()
    };
    let expected = hex("0003000000000000ffffffff000000000000270f00000000");
    assert_eq!(empty.encode().unwrap(), expected);
    assert_eq!(GroupRecord::decode(&expected).unwrap(), empty);
}

#[test]
fn groups_of_all_versions_are_read() {
    let [mut v2, mut v1, mut v0] = [group(), group(), group()];
    v2.members[0].instance_id = None;
    v1.members[0].instance_id = None;
    v1.state_since_ms = None;
    v0.members[0].instance_id = None;
    v0.members[0].rebalance_timeout_ms = 45_000;
    v0.state_since_ms = None;
    for (bytes, expected) in [
        (
            "00000008636f6e73756d657200000007000572616e676500036d2d310000000100036d2d310006636c69656e74000a2f3132372e302e302e310000afc800000003010203000000020405",
            v0,
        ),
        (
            "00010008636f6e73756d657200000007000572616e676500036d2d310000000100036d2d310006636c69656e74000a2f3132372e302e302e31000493e00000afc800000003010203000000020405",
            v1,
        ),
        (
            "00020008636f6e73756d657200000007000572616e676500036d2d31000000000000270f0000000100036d2d310006636c69656e74000a2f3132372e302e302e31000493e00000afc800000003010203000000020405",
            v2,
        ),
        (
            "000409636f6e73756d6572000000070672616e6765046d2d31000000000000270f02046d2d3105696e737407636c69656e740b2f3132372e302e302e31000493e00000afc8040102030304050000",
            group(),
        ),
    ] {
        assert_eq!(GroupRecord::decode(&hex(bytes)).unwrap(), expected);
    }
}

#[test]
fn counts_and_lengths_that_lie_are_refused() {
    // A member count of 2^31-1, and a compact one of 2^32.
    let mut bytes = hex("0003000000000000ffffffff000000000000270f").to_vec();
    bytes.extend(i32::MAX.to_be_bytes());
    assert!(GroupRecord::decode(&bytes).is_err());
    let mut bytes = hex("000401000000000000000000000000270f").to_vec();
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(GroupRecord::decode(&bytes).is_err());
    assert!(RecordKey::decode(&hex("00")).is_err());
    assert!(RecordKey::decode(&hex("00017fff61")).is_err());
    assert!(RecordKey::decode(&hex("0002000167ff")).is_err(), "bytes behind the key");
    let long = "x".repeat(0x8000);
    assert!(RecordKey::encode_group(&long).is_err());
    assert!(OffsetRecord { metadata: long.into(), ..offset() }.encode().is_err());
}

fn text() -> impl Strategy<Value = std::sync::Arc<str>> {
    "\\PC{0,12}".prop_map(Into::into)
}

fn blob() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

prop_compose! {
    fn any_offset()(
        offset in any::<i64>(),
        leader_epoch in prop::option::of(0..i32::MAX),
        metadata in text(),
        commit_ms in any::<i64>(),
        expire_ms in prop::option::of(0..i64::MAX),
        topic in prop::option::of(1..u128::MAX),
    ) -> OffsetRecord {
        let topic_id = topic.and_then(|id| TopicId::from_slice(&id.to_be_bytes()));
        OffsetRecord { offset, leader_epoch, metadata, commit_ms, expire_ms, topic_id }
    }
}

prop_compose! {
    fn any_member()(
        id in text(), instance_id in prop::option::of(text()),
        client_id in text(), client_host in text(),
        rebalance_timeout_ms in 0..i32::MAX, session_timeout_ms in any::<i32>(),
        subscription in blob(), assignment in blob(),
    ) -> MemberRecord {
        MemberRecord {
            id, instance_id, client_id, client_host,
            rebalance_timeout_ms, session_timeout_ms, subscription, assignment,
        }
    }
}

prop_compose! {
    fn any_group()(
        protocol_type in prop::option::of("[a-z]{1,8}"),
        generation in any::<i32>(),
        protocol in prop::option::of(text()),
        leader in prop::option::of(text()),
        state_since_ms in prop::option::of(0..i64::MAX),
        members in prop::collection::vec(any_member(), 0..5),
    ) -> GroupRecord {
        let protocol_type = protocol_type.map(Into::into);
        GroupRecord { protocol_type, generation, protocol, leader, state_since_ms, members }
    }
}

proptest! {
    #[test]
    fn offsets_round_trip(record in any_offset()) {
        let read = OffsetRecord::decode(&record.encode().unwrap()).unwrap();
        prop_assert_eq!(read, record.storable());
    }

    #[test]
    fn groups_round_trip(record in any_group()) {
        prop_assert_eq!(GroupRecord::decode(&record.encode().unwrap()).unwrap(), record);
    }

    #[test]
    fn keys_round_trip(group in text(), topic in text(), partition in any::<i32>()) {
        let bytes = RecordKey::encode_offset(&group, &topic, partition).unwrap();
        let key = RecordKey::Offset { group, topic, partition };
        prop_assert_eq!(RecordKey::decode(&bytes), Ok(key));
    }

    #[test]
    fn any_bytes_are_read_or_refused(version in 0u8..6, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = bytes;
        bytes.splice(0..0, [0, version]);
        let _ = RecordKey::decode(&bytes);
        let _ = OffsetRecord::decode(&bytes);
        let _ = GroupRecord::decode(&bytes);
    }

    #[test]
    fn damaged_groups_are_read_or_refused(record in any_group(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = record.encode().unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = GroupRecord::decode(&bytes);
    }
}
