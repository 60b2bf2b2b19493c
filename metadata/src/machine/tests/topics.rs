//! Topics, partitions, groups and settings.

use super::*;
use crate::outcome::AssignmentFault;

fn edit(edits: Vec<ConfigEdit>) -> Command {
    let change = ConfigChange::Edit(edits);
    Command::AlterTopicConfig(AlterTopicConfig { topic: topic(1), change })
}

fn set(key: &str, value: &str) -> ConfigEdit {
    ConfigEdit::Set { key: key.to_owned(), value: value.to_owned() }
}

#[test]
fn a_new_topic_is_owned_by_its_first_live_replicas() {
    let (mut world, one, two) = World::busy();
    world.ok(create_topic("a", 2, &[&[2, 1], &[1, 2]]));
    assert_eq!(world.image.partition(partition(2, 0)).unwrap().owner, two);
    world.ok(Command::FenceBroker(one));
    world.ok(create_topic("b", 3, &[&[1, 2]]));
    let state = world.image.partition(partition(3, 0)).unwrap();
    assert_eq!(state.owner, two, "law 3.4: a fenced broker is no owner");
    assert_eq!(*state.replicas, [BrokerId(1), BrokerId(2)]);
    assert_eq!((state.log_start, state.flushed_end), (0, 0));
    assert_eq!(state.leader_epochs[0].epoch, LeaderEpoch(0));
    let owned: Vec<_> = world.image.owned_by(two).map(|(at, _)| at).collect();
    assert_eq!(owned, [partition(2, 0), partition(3, 0)]);
}

#[test]
fn an_assignment_that_cannot_be_makes_no_topic() {
    let (mut world, one, _) = World::busy();
    world.ok(Command::FenceBroker(one));
    let cases: [(&[&[i32]], i32, AssignmentFault); 4] = [
        (&[&[2], &[]], 1, AssignmentFault::Count),
        (&[&[2], &[2], &[2, 2]], 2, AssignmentFault::Twice(BrokerId(2))),
        (&[&[2, 9]], 0, AssignmentFault::UnknownBroker(BrokerId(9))),
        (&[&[2], &[1]], 1, AssignmentFault::NoneLive),
    ];
    for (assignment, partition, reason) in cases {
        let refusal = Refusal::InvalidAssignment { partition, reason };
        assert_eq!(world.refused(create_topic("x", 9, assignment)), refusal);
    }
    assert!(matches!(world.refused(create_topic("x", 9, &[])), Refusal::Empty(_)));
}

#[test]
fn names_are_kafkas() {
    let (mut world, ..) = World::busy();
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "ä", "a/b", "a\0", &long] {
        let refusal = world.refused(create_topic(name, 9, &[&[1]]));
        assert!(matches!(refusal, Refusal::InvalidTopicName { .. }), "{name}: {refusal}");
    }
    world.ok(create_topic(&long[..249], 9, &[&[1]]));
    world.ok(create_topic("Az09-..", 10, &[&[1]]));
}

#[test]
fn a_name_and_an_id_are_taken_once() {
    let (mut world, ..) = World::busy();
    let exists = |name: &str, deleting| Refusal::TopicExists { name: name.to_owned(), deleting };
    assert_eq!(world.refused(create_topic("t", 2, &[&[1]])), exists("t", false));
    assert_eq!(world.refused(create_topic("u", 1, &[&[1]])), Refusal::TopicIdTaken(topic(1)));
    assert!(matches!(world.refused(create_topic("u", 0, &[&[1]])), Refusal::Empty(_)));
    world.ok(create_topic("a.b", 2, &[&[1]]));
    let collides = Refusal::TopicNameCollides { name: "a_b".to_owned(), with: "a.b".to_owned() };
    assert_eq!(world.refused(create_topic("a_b", 3, &[&[1]])), collides);
    world.ok(Command::DeleteTopic(topic(1)));
    assert_eq!(world.refused(create_topic("t", 4, &[&[1]])), exists("t", true));
    assert_eq!(world.image.topic_by_name("a.b").unwrap().id, topic(2));
    assert!(world.image.topic_by_name("a_b").is_none());
}

#[test]
fn partitions_are_added_to_the_number_that_was_seen() {
    let (mut world, ..) = World::busy();
    let add = |from_count, assignments| {
        let partitions = replicas(assignments);
        Command::CreatePartitions(CreatePartitions { topic: topic(1), from_count, partitions })
    };
    world.ok(add(2, &[&[1], &[2]]));
    assert_eq!(world.image.topic(topic(1)).unwrap().partition_count, 4);
    assert_eq!(world.image.partitions_of(topic(1)).count(), 4);
    assert_eq!(world.refused(add(2, &[&[1]])), Refusal::PartitionCount { count: 4 });
    let fault = Refusal::InvalidAssignment { partition: 5, reason: AssignmentFault::Count };
    assert_eq!(world.refused(add(4, &[&[1], &[]])), fault);
    world.ok(Command::DeleteTopic(topic(1)));
    assert_eq!(world.refused(add(4, &[&[1]])), Refusal::TopicBeingDeleted(topic(1)));
    let unknown =
        CreatePartitions { topic: topic(9), from_count: 0, partitions: replicas(&[&[1]]) };
    let refusal = world.refused(Command::CreatePartitions(unknown));
    assert_eq!(refusal, Refusal::UnknownTopic(topic(9)));
}

#[test]
fn groups_fill_up_and_partitions_spread_over_chains() {
    let (mut world, one, _) = World::busy();
    let assignments = vec![&[1][..]; 600];
    world.ok(create_topic("wide", 2, &assignments));
    let counts: Vec<_> = world.image.groups().map(|(_, group)| group.partition_count).collect();
    assert_eq!(counts, [256, 256, 90]);
    let chains = |chain| {
        let of = world.image.owned_by(one);
        of.filter(|(_, state)| state.chain.0 == chain).count()
    };
    assert_eq!((chains(0), chains(1)), (301, 301));
}

#[test]
fn a_command_has_at_most_kafkas_number_of_partitions() {
    let (mut world, ..) = World::busy();
    let assignments = vec![&[1][..]; 10_001];
    let refusal = world.refused(create_topic("wide", 2, &assignments));
    assert!(matches!(refusal, Refusal::TooMuch { limit: 10_000, .. }), "{refusal}");
}

#[test]
fn settings_are_replaced_and_edited() {
    let (mut world, ..) = World::busy();
    let configs = |world: &World| world.image.topic(topic(1)).unwrap().configs.clone();
    let text = |text: &str| text.to_owned();
    world.ok(edit(vec![set("a", "1"), set("b", "2"), ConfigEdit::Delete { key: text("a") }]));
    assert_eq!(*configs(&world), BTreeMap::from([(text("b"), text("2"))]));
    let append = |items: &str| ConfigEdit::Append {
        key: text("list"),
        items: text(items),
        default: text("delete"),
    };
    world.ok(edit(vec![append("compact, delete")]));
    assert_eq!(configs(&world)["list"], "delete,compact");
    let (key, items, default) = (text("list"), text("delete"), String::new());
    world.ok(edit(vec![ConfigEdit::Subtract { key, items, default }]));
    assert_eq!(configs(&world)["list"], "compact");
    let change = ConfigChange::Replace(BTreeMap::from([(text("c"), text("3"))]));
    world.ok(Command::AlterTopicConfig(AlterTopicConfig { topic: topic(1), change }));
    assert_eq!(*configs(&world), BTreeMap::from([(text("c"), text("3"))]));
    assert!(matches!(world.refused(edit(vec![set("", "x")])), Refusal::Empty(_)));
    let large = edit(vec![set("k", &"x".repeat(65 << 10))]);
    assert!(matches!(world.refused(large), Refusal::TooMuch { .. }));
    world.ok(Command::DeleteTopic(topic(1)));
    assert_eq!(world.refused(edit(vec![])), Refusal::TopicBeingDeleted(topic(1)));
}

#[test]
fn brokers_have_settings_of_their_own_and_in_common() {
    let (mut world, ..) = World::busy();
    let alter = |broker: Option<i32>, edits| {
        let (broker, change) = (broker.map(BrokerId), ConfigChange::Edit(edits));
        Command::AlterBrokerConfig(AlterBrokerConfig { broker, change })
    };
    world.ok(alter(None, vec![set("a", "1")]));
    world.ok(alter(Some(1), vec![set("a", "2")]));
    assert_eq!(world.image.broker_configs(None).unwrap()["a"], "1");
    assert_eq!(world.image.broker_configs(Some(BrokerId(1))).unwrap()["a"], "2");
    let refusal = world.refused(alter(Some(9), vec![set("a", "2")]));
    assert_eq!(refusal, Refusal::UnknownBroker(BrokerId(9)));
    world.ok(alter(Some(1), vec![ConfigEdit::Delete { key: "a".to_owned() }]));
    assert!(world.image.broker_configs(Some(BrokerId(1))).is_none());
}
