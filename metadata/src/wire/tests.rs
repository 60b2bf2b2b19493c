//! The stored form does not change: what was written once is read for ever.

use std::collections::BTreeMap;

use bytes::Bytes;
use odradek_common::ids::{
    BrokerEpoch, BrokerId, ChainId, GroupId, LeaderEpoch, SlotNumber, TopicId, TopicPartition,
};
use odradek_common::limits::{METADATA_COMMAND_ELEMENTS, METADATA_ENTRY_BYTES};

use super::*;
use crate::command::*;
use crate::ids::{DirectoryId, Incarnation};
use crate::image::Image;
use crate::machine::tests::{World, broker_of, create_topic, partition};

/// Each command of version 1 as it is stored: its name, and its bytes in hexadecimal.
const COMMANDS_V1: &str = include_str!("../../golden/commands-v1.txt");
/// The image that [`world`] comes to, as version 1 stores it.
const SNAPSHOT_V1: &[u8] = include_bytes!("../../golden/snapshot-v1.bin");

const TOPIC: TopicPartition =
    TopicPartition { topic: TopicId(uuid::Uuid::from_u128(0x1234_5678)), partition: 3 };

fn one() -> Incarnation {
    Incarnation { broker: BrokerId(1), epoch: BrokerEpoch(300) }
}

fn two() -> Incarnation {
    Incarnation { broker: BrokerId(2), epoch: BrokerEpoch(7) }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn settings() -> BTreeMap<String, String> {
    BTreeMap::from([(text("a"), text("1")), (text("b"), String::new())])
}

fn edits() -> Vec<ConfigEdit> {
    let (key, items, default) = (text("k"), text("x,y"), text("z"));
    vec![
        ConfigEdit::Set { key: key.clone(), value: text("v") },
        ConfigEdit::Delete { key: key.clone() },
        ConfigEdit::Append { key: key.clone(), items: items.clone(), default: default.clone() },
        ConfigEdit::Subtract { key, items, default },
    ]
}

fn admin_commands() -> Vec<(&'static str, Command)> {
    let replicas = vec![vec![BrokerId(1), BrokerId(2)], vec![BrokerId(2)]];
    let register = RegisterBroker { wal: WalKind::Disk, rack: None, ..broker_of(1) };
    let directories = vec![DirectoryId(uuid::Uuid::from_u128(1 << 100 | 5))];
    let form = Form { cluster: "cluster".parse().unwrap(), directories };
    let create = CreateTopic {
        name: text("t"),
        id: TOPIC.topic,
        partitions: replicas.clone(),
        configs: settings(),
    };
    let more = CreatePartitions { topic: TOPIC.topic, from_count: 2, partitions: replicas };
    let replace = ConfigChange::Replace(settings());
    let topic_config = AlterTopicConfig { topic: TOPIC.topic, change: replace };
    let edit = ConfigChange::Edit(edits());
    let broker_config = AlterBrokerConfig { broker: Some(BrokerId(0)), change: edit.clone() };
    let common_config = AlterBrokerConfig { broker: None, change: edit };
    vec![
        ("form", Command::Form(form)),
        ("register-object", Command::RegisterBroker(broker_of(1))),
        ("register-disk", Command::RegisterBroker(register)),
        ("fence", Command::FenceBroker(one())),
        ("recovered", Command::MarkRecovered(one())),
        ("create-topic", Command::CreateTopic(create)),
        ("create-partitions", Command::CreatePartitions(more)),
        ("delete-topic", Command::DeleteTopic(TOPIC.topic)),
        ("topic-config", Command::AlterTopicConfig(topic_config)),
        ("broker-config", Command::AlterBrokerConfig(broker_config)),
        ("common-config", Command::AlterBrokerConfig(common_config)),
    ]
}

fn data_commands() -> Vec<(&'static str, Command)> {
    let leader_epoch = LeaderEpoch(4);
    let trim = Trim { by: one(), chain: ChainId(1), slot: SlotNumber(1 << 40) };
    let release = ReleasePartitions { by: one(), partitions: vec![(TOPIC, leader_epoch)] };
    let range =
        FlushedRange { partition: TOPIC, leader_epoch, base_offset: 0, next_offset: 1 << 50 };
    let flush = CommitFlush {
        mark: 299,
        by: one(),
        index_object: text("idx/1"),
        ranges: vec![range, FlushedRange { base_offset: 1 << 50, ..range }],
    };
    let item = HandedPartition { partition: TOPIC, leader_epoch, flushed_end: 5, end: 9 };
    let take = TakeOver {
        mark: 299,
        from: one(),
        to: two(),
        index_object: Some(text("idx/2")),
        items: vec![item],
    };
    let bare = TakeOver { index_object: None, ..take.clone() };
    let merge = Merge {
        mark: 299,
        group: GroupId(6),
        expected_version: 8,
        manifest: Some(text("man/1")),
        taken: vec![(text("idx/1"), vec![TOPIC])],
    };
    let empty = Merge { manifest: None, taken: Vec::new(), ..merge.clone() };
    let log_start = LogStart { partition: TOPIC, leader_epoch, log_start: 11 };
    let ids = AllocateProducerIds { by: two(), count: 1000 };
    vec![
        ("trim", Command::Trim(trim)),
        ("release", Command::ReleasePartitions(release)),
        ("producer-ids", Command::AllocateProducerIds(ids)),
        ("flush", Command::CommitFlush(flush)),
        ("take-over", Command::TakeOver(take)),
        ("take-over-nothing", Command::TakeOver(bare)),
        ("merge", Command::Merge(merge)),
        ("merge-to-nothing", Command::Merge(empty)),
        ("log-start", Command::SetLogStart(SetLogStart { by: one(), items: vec![log_start] })),
        ("horizon", Command::SetHorizon(1 << 33)),
    ]
}

fn moving_commands() -> Vec<(&'static str, Command)> {
    let leader_epoch = LeaderEpoch(4);
    let replaces = RegisterBroker { replaces: Some(BrokerEpoch(300)), ..broker_of(1) };
    let item = HandedPartition { partition: TOPIC, leader_epoch, flushed_end: 5, end: 9 };
    let hand = HandOver {
        mark: 299,
        by: one(),
        to: two(),
        index_object: Some(text("idx/2")),
        items: vec![item],
    };
    let cancel = HandOver { to: one(), index_object: None, ..hand.clone() };
    let targets = vec![(TOPIC, leader_epoch, Some(BrokerId(0))), (TOPIC, leader_epoch, None)];
    let replicas = Some(vec![BrokerId(0), BrokerId(2)]);
    let altered = vec![(TOPIC, replicas), (TOPIC, None)];
    let draining = |draining| Command::SetDraining(SetDraining { broker: one(), draining });
    vec![
        ("register-replacing", Command::RegisterBroker(replaces)),
        ("hand-over", Command::HandOver(hand)),
        ("cancel", Command::HandOver(cancel)),
        ("targets", Command::SetTargets(SetTargets { items: targets })),
        ("replicas", Command::AlterReplicas(AlterReplicas { items: altered })),
        ("draining", draining(true)),
        ("not-draining", draining(false)),
        ("unregister", Command::UnregisterBroker(BrokerId(0))),
        ("unregister-2", Command::UnregisterBroker(BrokerId(2))),
    ]
}

fn commands() -> Vec<(&'static str, Command)> {
    let all = [admin_commands(), data_commands(), moving_commands()];
    all.into_iter().flatten().collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn commands_have_the_bytes_of_version_1() {
    let lines: String = commands()
        .iter()
        .map(|(name, command)| format!("{name} {}\n", hex(&encode_command(command))))
        .collect();
    assert_eq!(lines, COMMANDS_V1, "version 1 is written otherwise:\n{lines}");
}

#[test]
fn commands_of_version_1_are_read() {
    let commands = commands();
    assert_eq!(COMMANDS_V1.lines().count(), commands.len());
    for (line, (name, command)) in COMMANDS_V1.lines().zip(commands) {
        let stored: Bytes = unhex(line.split_once(' ').unwrap().1).into();
        let entry = encode_entry([&stored, &stored]);
        assert_eq!(decode_entry(&entry).unwrap().commands, [command.clone(), command], "{name}");
    }
}

#[test]
fn a_newer_command_is_refused_with_a_clear_message() {
    let mut newer = encode_command(&Command::SetHorizon(1)).to_vec();
    assert_eq!(newer[..2], [8, 1], "tag 1 is the version");
    newer[1] = 2;
    let error = decode_entry(&encode_entry([&newer.into()])).unwrap_err();
    let newer = DecodeError::Newer { what: "a metadata command", found: 2, known: 1 };
    assert_eq!(error, newer);
    assert!(error.to_string().contains("start a build at least as new"), "{error}");
}

#[test]
fn a_command_that_says_nothing_is_refused() {
    let cases: [&[u8]; 4] = [&[], &[8, 1], &[8, 1, 0xf2, 0x07, 0], &[8, 1, 26, 2, 8, 1]];
    for bytes in cases {
        let entry = encode_entry([&Bytes::copy_from_slice(bytes)]);
        assert!(matches!(decode_entry(&entry), Err(DecodeError::Damaged { .. })), "{bytes:?}");
    }
    assert_eq!(decode_entry(&[]).unwrap().commands, []);
}

/// An image with something of everything.
fn world() -> Image {
    let (mut world, one, two) = World::busy();
    for (_, command) in admin_commands() {
        if matches!(command, Command::CreateTopic(_) | Command::AlterBrokerConfig(_)) {
            // Broker 0 is not known: one of the three is refused.
            let _ = world.apply(command);
        }
    }
    let flush = |mark, number: i32| CommitFlush {
        mark,
        by: one,
        index_object: format!("idx/{number}"),
        ranges: vec![FlushedRange {
            partition: partition(1, number),
            leader_epoch: LeaderEpoch(0),
            base_offset: 0,
            next_offset: 10,
        }],
    };
    world.ok(Command::CommitFlush(flush(2, 0)));
    world.ok(Command::CommitFlush(flush(3, 1)));
    let group = world.image.partition(partition(1, 0)).unwrap().group;
    world.ok(Command::Merge(Merge {
        mark: 3,
        group,
        expected_version: 0,
        manifest: Some(text("man/1")),
        taken: vec![(text("idx/0"), vec![partition(1, 0)])],
    }));
    world.ok(Command::AllocateProducerIds(AllocateProducerIds { by: two, count: 7 }));
    world.ok(Command::Trim(Trim { by: one, chain: ChainId(1), slot: SlotNumber(9) }));
    world.register(1);
    let draining = world.register(3);
    world.ok(Command::SetDraining(SetDraining { broker: draining, draining: true }));
    let targets = vec![(partition(1, 0), LeaderEpoch(0), Some(BrokerId(2)))];
    world.ok(Command::SetTargets(SetTargets { items: targets }));
    let replicas = vec![(partition(1, 1), Some(vec![BrokerId(3), BrokerId(2)]))];
    world.ok(Command::AlterReplicas(AlterReplicas { items: replicas }));
    world.ok(create_topic("gone", 9, &[&[2]]));
    world.ok(Command::DeleteTopic(TopicId(uuid::Uuid::from_u128(9))));
    world.ok(Command::SetHorizon(2));
    world.image
}

#[test]
fn a_snapshot_has_the_bytes_of_version_1() {
    let snapshot = encode_snapshot(&world());
    assert_eq!(hex(&snapshot), hex(SNAPSHOT_V1), "version 1 is written otherwise");
    assert_eq!(decode_snapshot(SNAPSHOT_V1).unwrap(), world());
}

#[test]
fn a_newer_snapshot_is_refused_with_a_clear_message() {
    let mut newer = encode_snapshot(&Image::default());
    // Length of the record, tag and length of the head, tag of the version.
    assert_eq!(newer[1] & 0xf8, 8, "the head has tag 1");
    assert_eq!(newer[3..5], [8, 1]);
    newer[4] = 2;
    let error = decode_snapshot(&newer).unwrap_err();
    assert_eq!(error, DecodeError::Newer { what: "a metadata snapshot", found: 2, known: 1 });
}

#[test]
fn a_snapshot_that_is_not_whole_is_refused() {
    let whole = encode_snapshot(&world());
    for len in 0..whole.len() {
        assert!(decode_snapshot(&whole[..len]).is_err(), "cut at {len}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(decode_snapshot(&longer).is_err());
    let twice = [&whole[..], &whole].concat();
    assert!(decode_snapshot(&twice).is_err());
}

/// What a node proposes is looked at before it is decoded.
#[test]
fn a_proposal_that_would_take_too_much_is_refused() {
    let too_many = |elements: usize| {
        // A topic whose partitions say nothing: two bytes each.
        let body = [0x22, 0].repeat(elements);
        let record = |tag: u8, inner: &[u8]| {
            let mut bytes = vec![tag];
            prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
            bytes.extend_from_slice(inner);
            bytes
        };
        let nested = record(0x0a, &record(0x12, &body));
        check_proposal(&nested)
    };
    too_many(METADATA_COMMAND_ELEMENTS - 1).unwrap();
    too_many(METADATA_COMMAND_ELEMENTS).unwrap_err();
    check_proposal(&vec![0; METADATA_ENTRY_BYTES + 1]).unwrap_err();
    check_proposal(&[0x0a, 5, 1]).unwrap_err();
    let commands: Vec<_> = commands().iter().map(|(_, command)| encode_command(command)).collect();
    check_proposal(&encode_entry(&commands)).unwrap();
}
