//! A whole node: start, propose, restart, and what a power cut leaves.

mod brokers;
mod changes;
mod cluster;
mod copies;
mod observers;
mod several;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use odradek_common::files::sim::{Op, SimFiles};
use odradek_common::files::{Files, SharedFiles};
use odradek_common::ids::{BrokerId, TopicId};
use odradek_common::random::{Random, SeededRandom};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::disk::{Identity, Log};
use crate::machine::tests::{broker_of, create_topic, partition, topic};
use crate::*;

const DIRECTORY: &str = "/data/metadata";

fn options(files: &SimFiles) -> Options {
    Options {
        node: BrokerId(1),
        directory_id: DirectoryId(uuid::Uuid::from_u128(1)),
        directory: PathBuf::from(DIRECTORY),
        cluster: None,
        files: Arc::new(files.clone()),
        network: Arc::new(odradek_common::net::RealNetwork),
        random: Arc::new(SeededRandom::from_os()),
        voters: BTreeMap::new(),
        listen: None,
        secret: None,
        snapshot_entries: 1000,
        phases: odradek_common::phases::Phases::none(),
    }
}

struct Node {
    metadata: Metadata,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ServiceError>>,
}

impl Node {
    async fn start(options: Options) -> Result<Self, StartError> {
        let (service, metadata) = Metadata::start(options).await?;
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(service.run(shutdown.clone()));
        let node = Self { metadata, shutdown, running };
        let founders = node.metadata.founders().await;
        let led = match node.metadata.initialise(&founders).await {
            Ok(()) => node.metadata.caught_up().await.map_err(StartError::raft),
            Err(error) => Err(error),
        };
        match led {
            Ok(_) => Ok(node),
            Err(error) => {
                node.shutdown.cancel();
                Err(node.running.await.unwrap().map_or_else(StartError::raft, |()| error))
            }
        }
    }

    async fn on(files: &SimFiles) -> Self {
        Self::start(options(files)).await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
    }

    /// A formed cluster with broker 1.
    async fn form(&self) -> Incarnation {
        let directories = vec![DirectoryId(uuid::Uuid::from_u128(1))];
        let form = Form { cluster: "cluster".parse().unwrap(), directories };
        self.metadata.propose(Command::Form(form)).await.unwrap();
        let registered = self.metadata.propose(registration(&self.metadata)).await;
        let Ok(Outcome::Registered { epoch }) = registered else { panic!("{registered:?}") };
        Incarnation { broker: BrokerId(1), epoch }
    }
}

/// Of broker 1, in place of its former process.
fn registration(metadata: &Metadata) -> Command {
    let image = metadata.image();
    let replaces = image.broker(BrokerId(1)).map(|former| former.incarnation.epoch);
    Command::RegisterBroker(RegisterBroker { replaces, ..broker_of(1) })
}

fn topic_number(number: u128) -> Command {
    create_topic(&format!("topic-{number}"), number, &[&[1]])
}

#[tokio::test]
async fn an_acknowledged_command_is_in_the_image() {
    let node = Node::on(&SimFiles::new()).await;
    let mut images = node.metadata.subscribe();
    let one = node.form().await;
    let outcome = node.metadata.propose(topic_number(5)).await;
    assert_eq!(outcome, Ok(Outcome::TopicCreated));
    let image = node.metadata.image();
    assert_eq!(image.partition(partition(5, 0)).unwrap().owner, one);
    assert_eq!(image.applied_index(), node.metadata.applied_index());
    assert!(images.borrow_and_update().topic(topic(5)).is_some());
    let exists = node.metadata.propose(topic_number(5)).await;
    assert!(matches!(exists, Err(ProposeError::Refused(Refusal::TopicIdTaken(_)))), "{exists:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_lone_voter_leads_and_confirms_it() {
    let node = Node::on(&SimFiles::new()).await;
    node.form().await;
    assert!(node.metadata.is_leader());
    let before = node.metadata.applied_index();
    assert!(node.metadata.confirm().await.unwrap().applied_index() >= before);
    let metadata = node.metadata.clone();
    let waiting = tokio::spawn(async move { metadata.wait_applied(before + 1).await });
    node.metadata.propose(topic_number(1)).await.unwrap();
    assert!(waiting.await.unwrap().unwrap().topic(topic(1)).is_some());
    let metadata = node.metadata.clone();
    node.stop().await;
    assert_eq!(metadata.wait_applied(before + 1_000).await.unwrap_err(), Ended);
    assert_eq!(metadata.confirm().await.unwrap_err(), NotConfirmed::Ended);
    let late = metadata.propose(topic_number(2)).await;
    assert_eq!(late, Err(ProposeError::ShuttingDown));
    assert!(metadata.image().topic(topic(1)).is_some(), "the image stays");
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let files = SimFiles::new();
    let mut former = None;
    for round in 1..=3 {
        let node = Node::on(&files).await;
        let one = node.form().await;
        assert!(Some(one) > former, "a new epoch is higher");
        assert!(!former.is_some_and(|former| node.metadata.image().is_live(former)));
        for number in 1..round {
            assert!(node.metadata.image().topic(topic(number)).is_some());
        }
        node.metadata.propose(topic_number(round)).await.unwrap();
        former = Some(one);
        node.stop().await;
    }
}

#[tokio::test]
async fn a_snapshot_takes_the_place_of_the_log() {
    let files = SimFiles::new();
    let with_snapshots = || Options { snapshot_entries: 10, ..options(&files) };
    let node = Node::start(with_snapshots()).await.unwrap();
    node.form().await;
    for number in 1..=50 {
        node.metadata.propose(topic_number(number)).await.unwrap();
    }
    let image = node.metadata.image();
    node.stop().await;
    let shared: SharedFiles = Arc::new(files.clone());
    let identity = Identity { node: BrokerId(1), directory: options(&files).directory_id };
    let log = Log::open(&shared, Path::new(DIRECTORY), identity, false).unwrap();
    let kept = log.read(..).unwrap().len();
    assert!(kept < 30, "{kept} entries are still in the log");
    drop(log);
    let node = Node::start(with_snapshots()).await.unwrap();
    assert_eq!(node.metadata.image().partition_count(), image.partition_count());
    assert!(node.metadata.image().topic_by_name("topic-50").is_some());
    node.stop().await;
}

/// Entries differ in size, so the log is bounded in bytes too.
#[tokio::test]
async fn a_log_of_large_entries_is_cut_short_early() {
    let files = SimFiles::new();
    let node = Node::on(&files).await;
    let one = node.form().await;
    for _ in 0..24 {
        let index_object = "x".repeat(3 << 20);
        let flush = CommitFlush { mark: 0, by: one, index_object, ranges: Vec::new() };
        node.metadata.propose(Command::CommitFlush(flush)).await.unwrap_err();
    }
    // It is written by a task of its own.
    let snapshot = || {
        let shared: SharedFiles = Arc::new(files.clone());
        let names = shared.list(Path::new(DIRECTORY)).unwrap();
        names.iter().any(|entry| entry.path.to_string_lossy().contains("snapshot-"))
    };
    let written = async {
        while !snapshot() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), written).await.expect("a snapshot is taken");
    node.stop().await;
    Node::on(&files).await.stop().await;
}

#[tokio::test]
async fn the_first_start_takes_few_syncs() {
    let files = SimFiles::new();
    let node = Node::on(&files).await;
    assert!(files.syncs() <= 20, "{} syncs until the node was ready", files.syncs());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proposals_made_together_share_a_sync() {
    let files = SimFiles::new();
    let node = Node::on(&files).await;
    let one = node.form().await;
    let before = files.syncs();
    let ask = |_| {
        let metadata = node.metadata.clone();
        let ids = AllocateProducerIds { by: one, count: 1000 };
        tokio::spawn(async move { metadata.propose(Command::AllocateProducerIds(ids)).await })
    };
    let asked: Vec<_> = (0..500).map(ask).collect();
    let mut firsts = BTreeSet::new();
    for asked in asked {
        let Ok(Outcome::ProducerIds { first, .. }) = asked.await.unwrap() else { panic!() };
        firsts.insert(first);
    }
    assert_eq!(firsts.len(), 500, "each got its own block");
    let syncs = files.syncs() - before;
    assert!(syncs < 100, "500 proposals took {syncs} syncs");
    node.stop().await;
}

#[tokio::test]
async fn a_command_that_is_too_large_is_not_proposed() {
    let node = Node::on(&SimFiles::new()).await;
    let one = node.form().await;
    let index_object = "x".repeat(5 << 20);
    let flush = CommitFlush { mark: 0, by: one, index_object, ranges: Vec::new() };
    let refused = node.metadata.propose(Command::CommitFlush(flush)).await;
    assert!(matches!(refused, Err(ProposeError::TooLarge { .. })), "{refused:?}");
    node.stop().await;
}

/// Together larger than an entry may be: they go in several.
#[tokio::test]
async fn large_proposals_go_in_entries_of_their_own() {
    let node = Node::on(&SimFiles::new()).await;
    let one = node.form().await;
    let ask = |_| {
        let metadata = node.metadata.clone();
        let index_object = "x".repeat(1 << 20);
        let flush = CommitFlush { mark: 0, by: one, index_object, ranges: Vec::new() };
        tokio::spawn(async move { metadata.propose(Command::CommitFlush(flush)).await })
    };
    for asked in (0..10).map(ask).collect::<Vec<_>>() {
        let refused = asked.await.unwrap();
        assert!(
            matches!(refused, Err(ProposeError::Refused(Refusal::TooMuch { .. }))),
            "{refused:?}"
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn another_disk_or_node_does_not_start() {
    let files = SimFiles::new();
    Node::on(&files).await.stop().await;
    let directory_id = DirectoryId(uuid::Uuid::from_u128(2));
    let others = [
        Options { directory_id, ..options(&files) },
        Options { node: BrokerId(2), ..options(&files) },
    ];
    for other in others {
        let refused = Metadata::start(other).await.map(drop).unwrap_err();
        assert!(matches!(&refused, StartError::Disk(DiskError::OtherNode { .. })), "{refused}");
    }
    let negative = Options { node: BrokerId(-1), ..options(&files) };
    let refused = Metadata::start(negative).await.map(drop).unwrap_err();
    assert!(matches!(refused, StartError::NodeId(_)), "{refused}");
    Node::on(&files).await.stop().await;
}

/// An empty log in its place would be an empty cluster, beside the old one's objects.
#[tokio::test]
async fn the_log_of_a_formed_cluster_is_never_made_anew() {
    let formed = |files| Options { cluster: Some("cluster".parse().unwrap()), ..options(files) };
    let files = SimFiles::new();
    let node = Node::on(&files).await;
    node.form().await;
    node.stop().await;
    Node::start(formed(&files)).await.unwrap().stop().await;
    for entry in files.list(Path::new(DIRECTORY)).unwrap() {
        files.remove_file(&entry.path).unwrap();
    }
    for without_its_directory in [false, true] {
        if without_its_directory {
            files.remove_dir(Path::new(DIRECTORY)).unwrap();
        }
        let steps = files.steps();
        let refused = Node::start(formed(&files)).await.map(|_| ()).unwrap_err();
        assert!(matches!(&refused, StartError::Disk(DiskError::Gone { .. })), "{refused}");
        assert_eq!(files.steps(), steps, "something was changed");
    }
}

#[tokio::test]
async fn a_failed_disk_ends_the_service_and_acknowledges_nothing() {
    let files = SimFiles::new();
    let node = Node::on(&files).await;
    node.form().await;
    files.fail_nth(Op::Sync, 1, std::io::ErrorKind::Other);
    assert_eq!(node.metadata.propose(topic_number(1)).await, Err(ProposeError::Unknown));
    assert!(node.metadata.image().topic(topic(1)).is_none());
    let failed = tokio::time::timeout(Duration::from_secs(5), node.running).await;
    let failed = failed.expect("the service ends").unwrap().unwrap_err();
    assert!(failed.to_string().contains("failed"), "{failed}");
    assert_eq!(node.metadata.propose(topic_number(2)).await, Err(ProposeError::ShuttingDown));
}

#[tokio::test]
async fn a_log_of_a_newer_build_is_refused_with_a_clear_message() {
    let files = SimFiles::new();
    let node = Node::on(&files).await;
    node.form().await;
    node.stop().await;
    let shared: SharedFiles = Arc::new(files.clone());
    let identity = Identity { node: BrokerId(1), directory: options(&files).directory_id };
    let log = Log::open(&shared, Path::new(DIRECTORY), identity, false).unwrap();
    let (index, entry) = log.last().unwrap().unwrap();
    let mut entry = entry.to_vec();
    let command = crate::wire::encode_command(&Command::RegisterBroker(broker_of(1)));
    assert_eq!(command[..2], [8, 1], "tag 1 is the version");
    let at = entry.windows(command.len()).position(|bytes| bytes == command).unwrap();
    entry[at + 1] = 9;
    log.append(&[(index, entry)]).unwrap();
    drop(log);
    let refused = Node::start(options(&files)).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("format version 9"), "{refused}");
}

/// What was acknowledged before the power went, and what was only asked.
#[derive(Default)]
struct History {
    acknowledged: BTreeSet<u128>,
    asked: BTreeSet<u128>,
    ids: BTreeMap<i64, u32>,
}

/// Three proposers at a time, until the disk halts.
async fn load(node: &Node, one: Incarnation, history: &mut History, first: u128) {
    for number in (first..).step_by(2).take(60) {
        let ids = AllocateProducerIds { by: one, count: 10 };
        let (a, b, c) = tokio::join!(
            node.metadata.propose(topic_number(number)),
            node.metadata.propose(topic_number(number + 1)),
            node.metadata.propose(Command::AllocateProducerIds(ids)),
        );
        history.asked.extend([number, number + 1]);
        let made = [(number, a), (number + 1, b)].into_iter().filter(|(_, made)| made.is_ok());
        let made: Vec<_> = made.map(|(number, _)| number).collect();
        let is_over = made.len() < 2;
        history.acknowledged.extend(made);
        if let Ok(Outcome::ProducerIds { first, count }) = c {
            assert!(history.ids.insert(first, count).is_none(), "ids were given twice");
        }
        if is_over {
            break;
        }
    }
}

fn check(image: &Image, history: &History) {
    let there: BTreeSet<_> = image.topics().map(|topic| topic.id.0.as_u128()).collect();
    let lost: Vec<_> = history.acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(there.is_subset(&history.asked), "from nowhere: {there:?}");
    for number in &there {
        let id = TopicId(uuid::Uuid::from_u128(*number));
        assert_eq!(image.partitions_of(id).count(), 1, "half of topic {number}");
    }
}

/// The power goes after so many steps of the disk; then again, with what it left.
async fn cut_twice(seed: u64, halts: [u64; 2]) -> (usize, u64) {
    let random = SeededRandom::from_seed(seed);
    let mut files = SimFiles::new();
    let mut history = History::default();
    let mut next = 1;
    for halt in halts {
        let small = Options { snapshot_entries: 7, ..options(&files) };
        files.halt_after(halt);
        if let Ok(node) = Node::start(small).await {
            check(&node.metadata.image(), &history);
            if let Ok(one) = form_and_register(&node).await {
                load(&node, one, &mut history, next).await;
                next += 1000;
            }
            node.shutdown.cancel();
            let _ = node.running.await.unwrap();
        }
        files = files.power_cut(&random);
    }
    let node = Node::on(&files).await;
    check(&node.metadata.image(), &history);
    let one = node.form().await;
    let ids = AllocateProducerIds { by: one, count: 10 };
    let given = node.metadata.propose(Command::AllocateProducerIds(ids)).await;
    let Ok(Outcome::ProducerIds { first, .. }) = given else { panic!("{given:?}") };
    assert!(history.ids.keys().all(|former| *former < first), "ids were given twice");
    node.stop().await;
    (history.acknowledged.len(), files.steps())
}

async fn form_and_register(node: &Node) -> Result<Incarnation, ProposeError> {
    let directories = vec![DirectoryId(uuid::Uuid::from_u128(1))];
    let form = Form { cluster: "cluster".parse().unwrap(), directories };
    node.metadata.propose(Command::Form(form)).await?;
    match node.metadata.propose(registration(&node.metadata)).await? {
        Outcome::Registered { epoch } => Ok(Incarnation { broker: BrokerId(1), epoch }),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_power_cut_at_any_time_loses_nothing_acknowledged() {
    let random = SeededRandom::from_seed(1);
    let mut acknowledged = 0;
    for seed in 0..60 {
        let halts = [random.next_u64() % 900, random.next_u64() % 900];
        acknowledged += cut_twice(seed, halts).await.0;
    }
    assert!(acknowledged > 500, "only {acknowledged} were acknowledged at all");
}

/// It would have the leader refuse whatever stands in the same entry.
#[tokio::test]
async fn a_command_of_too_many_elements_goes_into_no_entry() {
    let node = Node::on(&SimFiles::new()).await;
    node.form().await;
    let one: &[i32] = &[1];
    let partitions = vec![one; odradek_common::limits::METADATA_COMMAND_ELEMENTS];
    let refused = node.metadata.propose(create_topic("large", 1, &partitions)).await;
    assert!(matches!(refused, Err(ProposeError::NotTaken(_))), "{refused:?}");
    node.stop().await;
}
