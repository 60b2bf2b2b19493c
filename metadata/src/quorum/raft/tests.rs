//! openraft's own conformance suite on our store, and the stored form of what it keeps.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use odradek_common::files::SharedFiles;
use odradek_common::files::sim::SimFiles;
use odradek_common::ids::BrokerId;
use odradek_common::limits::{QUORUM_NUMBER_MAX, QUORUM_TERM_STEP};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest, VoteResponse,
};
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{EntryPayload, LeaderId, SnapshotMeta, StorageError, StoredMembership};
use proptest::prelude::*;

use super::applier::Applier;
use super::log_store::LogStore;
use super::{
    Config, Entry, LogId, Membership, NodeId, Opened, Proposal, RaftOptions, Started, Vote, codec,
    rpc,
};
use crate::disk::{DiskError, Identity, Log};
use crate::ids::{DirectoryId, Endpoint, Voter};
use crate::peer::{Introduction, Kind, Peers, RefusalCode, tests::Hub};
use crate::quorum::{Committed, CommittedLog, bundle};
use crate::service::StartError;
use crate::state::State;
use crate::waiting::Waiting;
use crate::wire::{DecodeError, encode_snapshot};

struct OnSimulatedDisk;

impl From<u64> for NodeId {
    /// The suite takes it for granted that 0 is the default.
    fn from(number: u64) -> Self {
        if number == 0 {
            return Self::default();
        }
        let directory = DirectoryId(uuid::Uuid::from_u128(u128::from(number) + 1000));
        Self { node: BrokerId(i32::try_from(number).unwrap()), directory }
    }
}

fn log_id(term: u64, node: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, node.into()), index)
}

fn random() -> odradek_common::random::SharedRandom {
    Arc::new(odradek_common::random::SeededRandom::from_seed(1))
}

fn state() -> State {
    State::new(Arc::new(Waiting::new(&random())))
}

fn options(files: SharedFiles) -> RaftOptions {
    let me = NodeId::from(0);
    let introduction = Introduction::new(me, None, state().subscribe(), None, random());
    let peers = Arc::new(Peers::new(Hub::default().of("n0"), Arc::new(introduction)));
    RaftOptions {
        me,
        endpoints: std::collections::BTreeMap::new(),
        peers,
        directory: PathBuf::from("/raft"),
        formed: false,
        files,
        snapshot_entries: 100,
        phases: odradek_common::phases::Phases::none(),
    }
}

impl StoreBuilder<Config, LogStore, Applier> for OnSimulatedDisk {
    async fn build(&self) -> Result<((), LogStore, Applier), StorageError<NodeId>> {
        let opened = super::open(options(Arc::new(SimFiles::new())), state()).unwrap();
        // The suite purges logs without snapshots.
        opened.installs.note_durable(u64::MAX);
        Ok(((), opened.log, opened.applier))
    }
}

#[test]
fn openrafts_conformance_suite_passes() {
    Suite::test_all(OnSimulatedDisk).unwrap();
}

/// Leaves a change of the voters half done on the disk of a node that does not run.
pub(crate) fn leave_half_done(
    files: &SimFiles,
    directory: &std::path::Path,
    me: NodeId,
    members: &[Voter],
    voters: [std::collections::BTreeSet<NodeId>; 2],
) {
    let identity = Identity { node: me.node, directory: me.directory };
    let log = Log::open(&(Arc::new(files.clone()) as SharedFiles), directory, identity, true);
    let log = log.unwrap();
    let (_, last) = log.last().unwrap().unwrap();
    let last = codec::decode_entry(last).unwrap().log_id;
    let nodes: std::collections::BTreeMap<_, _> =
        members.iter().map(|voter| (voter.key, voter.endpoint.clone())).collect();
    let payload = EntryPayload::Membership(Membership::new(voters.into(), nodes));
    let entry = Entry { log_id: LogId::new(last.leader_id, last.index + 1), payload };
    log.append(&[(last.index + 1, codec::encode_entry(&entry))]).unwrap();
}

fn opened(files: &SimFiles) -> Opened {
    super::open(options(Arc::new(files.clone())), state()).unwrap()
}

/// What the leader sends of its state at `last`.
fn snapshot_at(last: LogId) -> (SnapshotMeta<NodeId, Endpoint>, Box<std::io::Cursor<Vec<u8>>>) {
    let last_membership = StoredMembership::new(Some(log_id(1, 1, 0)), membership());
    let meta =
        SnapshotMeta { last_log_id: Some(last), last_membership, snapshot_id: "sent".to_owned() };
    let mut image = crate::Image::default();
    image.apply_entry(last.index, &[]);
    (meta, Box::new(std::io::Cursor::new(encode_snapshot(&image))))
}

/// A member whose log holds what another leader never committed.
fn with_stale_entries(files: &SimFiles) -> Opened {
    let opened = opened(files);
    let entry = |index| Entry { log_id: log_id(5, 1, index), payload: EntryPayload::Blank };
    let stored: Vec<_> = (0..10).map(|i| (i, codec::encode_entry(&entry(i)))).collect();
    opened.log.log().append(&stored).unwrap();
    opened
}

#[tokio::test]
async fn the_log_is_purged_once_the_snapshot_before_it_is_durable() {
    let Opened { mut log, mut applier, .. } = with_stale_entries(&SimFiles::new());
    let (entries, last) = (log.log(), log_id(4, 2, 20));
    let mut purging = log.clone();
    let purge = tokio::spawn(async move { purging.purge(last).await });
    // More turns on the disk than a purge takes.
    for _ in 0..100 {
        log.get_log_state().await.unwrap();
        assert_eq!(entries.read(..).unwrap().len(), 10, "it purged before there was a snapshot");
    }
    let (meta, bytes) = snapshot_at(last);
    applier.install_snapshot(&meta, bytes).await.unwrap();
    purge.await.unwrap().unwrap();
    assert!(entries.read(..).unwrap().is_empty());
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(last));
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_installed_leaves_the_log() {
    let Opened { log, mut applier, .. } = with_stale_entries(&SimFiles::new());
    let (entries, last) = (log.log(), log_id(4, 2, 20));
    let mut purging = log.clone();
    let purge = tokio::spawn(async move { purging.purge(last).await });
    let (meta, _) = snapshot_at(last);
    let nonsense = Box::new(std::io::Cursor::new(vec![1, 2, 3]));
    applier.install_snapshot(&meta, nonsense).await.unwrap_err();
    purge.await.unwrap().unwrap_err();
    assert_eq!(entries.read(..).unwrap().len(), 10);
}

/// The power fails after the snapshot is durable and before the log is purged.
#[tokio::test]
async fn what_a_snapshot_took_the_place_of_is_not_taken_up_again() {
    let files = SimFiles::new();
    let last = log_id(4, 2, 20);
    {
        let Opened { mut applier, .. } = with_stale_entries(&files);
        let (meta, bytes) = snapshot_at(last);
        applier.install_snapshot(&meta, bytes).await.unwrap();
    }
    let mut log = opened(&files).log;
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(last), Some(last)));
}

#[tokio::test]
async fn a_log_that_begins_after_its_snapshot_is_refused() {
    let files = SimFiles::new();
    opened(&files).log.log().purge(20, &codec::encode_log_id(log_id(4, 2, 20))).unwrap();
    let open = || super::open(options(Arc::new(files.clone())), state()).map(drop);
    let refused = open().unwrap_err();
    assert!(matches!(&refused, StartError::Disk(DiskError::Gap { purged: 20, .. })), "{refused}");
}

/// A follower is not answered at once, for ever, by a node that has nothing either.
#[tokio::test]
async fn a_node_with_an_empty_log_has_nothing_for_the_feed() {
    let state = state();
    let images = state.subscribe();
    let opened = super::open(options(Arc::new(SimFiles::new())), state).unwrap();
    let Opened { log, snapshots, installs, .. } = opened;
    let committed = CommittedLog::new(log.log(), snapshots, installs, images);
    for next in [0, 1] {
        assert!(committed.is_at(next));
        let found = committed.from(next).await.unwrap();
        assert!(matches!(found, Committed::UpToDate), "from {next}: {found:?}");
    }
}

/// Entries that another leader never committed lie in the log until it is purged.
#[tokio::test]
async fn the_feed_shows_nothing_that_a_snapshot_took_the_place_of() {
    let files = SimFiles::new();
    let state = state();
    let images = state.subscribe();
    drop(with_stale_entries(&files));
    let opened = super::open(options(Arc::new(files.clone())), state).unwrap();
    let Opened { log, snapshots, installs, mut applier, .. } = opened;
    let committed = CommittedLog::new(log.log(), snapshots, installs, images);
    let (meta, bytes) = snapshot_at(log_id(4, 2, 20));
    applier.install_snapshot(&meta, bytes).await.unwrap();
    assert_eq!(log.log().read(..).unwrap().len(), 10, "they are there still");
    for next in [1, 9, 10, 20] {
        let found = committed.from(next).await.unwrap();
        assert!(matches!(found, Committed::Purged), "from {next}: {found:?}");
    }
    let found = committed.from(21).await.unwrap();
    assert!(matches!(found, Committed::UpToDate), "{found:?}");
}

fn membership() -> Membership {
    let node = |number: u64| {
        let port = u16::try_from(9090 + number).unwrap();
        (NodeId::from(number), Endpoint { host: format!("n{number}"), port })
    };
    let voters = [[1, 2], [2, 3]].map(|set| set.map(NodeId::from).into());
    let nodes: std::collections::BTreeMap<_, _> = (1..=4).map(node).collect();
    Membership::new(voters.into(), nodes)
}

#[test]
fn entries_votes_and_descriptions_round_trip() {
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(Proposal::new(Bytes::from_static(b"commands"))),
        EntryPayload::Membership(membership()),
    ];
    for payload in payloads {
        let entry = Entry { log_id: log_id(3, 2, 9), payload };
        let stored = codec::encode_entry(&entry);
        let back = codec::decode_entry(stored.clone().into()).unwrap();
        assert_eq!(back.log_id, entry.log_id);
        assert_eq!(codec::encode_entry(&back), stored);
        if let EntryPayload::Membership(members) = back.payload {
            assert_eq!(members, membership());
        }
    }
    for committed in [true, false] {
        let vote = Vote { leader_id: LeaderId::new(5, 1.into()), committed };
        assert_eq!(codec::decode_vote(&codec::encode_vote(&vote)).unwrap(), vote);
    }
    let meta = SnapshotMeta::<NodeId, Endpoint> {
        last_log_id: Some(log_id(3, 2, 9)),
        last_membership: StoredMembership::new(Some(log_id(1, 1, 0)), membership()),
        snapshot_id: "x".to_owned(),
    };
    assert_eq!(codec::decode_meta(codec::encode_meta(&meta).as_slice()).unwrap(), meta);
    assert_eq!(
        codec::decode_meta(codec::encode_meta(&SnapshotMeta::default()).as_slice()).unwrap(),
        SnapshotMeta::default()
    );
}

#[test]
fn a_stored_entry_has_these_bytes() {
    let payload = EntryPayload::Normal(Proposal::new(Bytes::from_static(b"ab")));
    let entry = Entry { log_id: log_id(3, 2, 9), payload };
    let leader = [8, 2, 25, 234, 3, 0, 0, 0, 0, 0, 0];
    let id = [&[8, 3, 18, 11][..], &leader, &[24, 9]].concat();
    let golden = [&[8, 1, 18, 17][..], &id, &[34, 2, b'a', b'b']].concat();
    assert_eq!(codec::encode_entry(&entry), golden);
    let newer = [&[8, 2][..], &golden[2..]].concat();
    let error = codec::decode_entry(newer.into()).unwrap_err();
    assert!(matches!(error, DecodeError::Newer { found: 2, known: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_vote_is_durable_when_it_is_saved() {
    let files = SimFiles::new();
    let open =
        |files: &SimFiles| super::open(options(Arc::new(files.clone())), state()).unwrap().log;
    let mut store = open(&files);
    for term in 1..20 {
        let vote = Vote::new(term, 0.into());
        store.save_vote(&vote).await.unwrap();
        let random = odradek_common::random::SeededRandom::from_seed(term);
        let mut after = open(&files.power_cut(&random));
        assert_eq!(after.read_vote().await.unwrap(), Some(vote));
    }
}

#[test]
fn what_members_ask_and_answer_round_trips() {
    let commands = Bytes::from_static(b"commands");
    let entry = |index, payload| Entry { log_id: log_id(3, 2, index), payload };
    let append = AppendEntriesRequest::<Config> {
        vote: Vote::new_committed(3, 2.into()),
        prev_log_id: Some(log_id(2, 1, 7)),
        entries: vec![
            entry(8, EntryPayload::Normal(Proposal::new(commands))),
            entry(9, EntryPayload::Membership(membership())),
        ],
        leader_commit: Some(log_id(2, 1, 5)),
    };
    let back = rpc::decode_append(rpc::encode_append(&append)).unwrap();
    assert_eq!(format!("{back:?}"), format!("{append:?}"));
    let gap = AppendEntriesRequest { prev_log_id: Some(log_id(2, 1, 6)), ..append };
    assert!(rpc::decode_append(rpc::encode_append(&gap)).is_err(), "entries after a gap");
    for answer in [
        AppendEntriesResponse::Success,
        AppendEntriesResponse::PartialSuccess(Some(log_id(1, 2, 3))),
        AppendEntriesResponse::PartialSuccess(None),
        AppendEntriesResponse::Conflict,
        AppendEntriesResponse::HigherVote(Vote::new(9, 1.into())),
    ] {
        let back =
            rpc::decode_append_answer(rpc::encode_append_answer(&answer), Some(log_id(1, 2, 3)), 9)
                .unwrap();
        assert_eq!(back, answer);
    }
    let vote = VoteRequest::new(Vote::new(4, 1.into()), Some(log_id(1, 2, 3)));
    assert_eq!(rpc::decode_vote(rpc::encode_vote(&vote)).unwrap(), vote);
    let granted = VoteResponse::new(Vote::new(4, 1.into()), None, true);
    assert_eq!(rpc::decode_vote_answer(rpc::encode_vote_answer(&granted), 4).unwrap(), granted);
    let last_membership = StoredMembership::new(Some(log_id(1, 1, 0)), membership());
    let snapshot = InstallSnapshotRequest::<Config> {
        vote: Vote::new(4, 1.into()),
        meta: SnapshotMeta {
            last_log_id: Some(log_id(3, 2, 9)),
            last_membership,
            snapshot_id: "x".to_owned(),
        },
        offset: 5,
        data: vec![1, 2, 3],
        done: true,
    };
    let back = rpc::decode_snapshot(rpc::encode_snapshot(snapshot.clone())).unwrap();
    assert_eq!(back, snapshot);
    let far = InstallSnapshotRequest { offset: u64::MAX, ..snapshot };
    assert!(rpc::decode_snapshot(rpc::encode_snapshot(far)).is_err(), "a piece past every end");
}

/// openraft counts on from terms and indexes that it is told.
#[test]
fn numbers_that_cannot_be_are_refused() {
    let vote = |term| Vote::new(term, 1.into());
    let far = QUORUM_NUMBER_MAX + 1;
    for last in [log_id(5, 1, far), log_id(far, 1, 5), log_id(7, 1, 5)] {
        let request = VoteRequest::new(vote(6), Some(last));
        assert!(rpc::decode_vote(rpc::encode_vote(&request)).is_err(), "{last}");
        let granted = VoteResponse::new(vote(6), Some(last), true);
        assert!(rpc::decode_vote_answer(rpc::encode_vote_answer(&granted), 6).is_err(), "{last}");
        let entry = Entry { log_id: last, payload: EntryPayload::Blank };
        let before = LogId::new(last.leader_id, last.index - 1);
        for (prev_log_id, entries, leader_commit) in [
            (Some(last), vec![], None),
            (Some(before), vec![entry], None),
            (None, vec![], Some(last)),
        ] {
            let append = AppendEntriesRequest::<Config> {
                vote: vote(6),
                prev_log_id,
                entries,
                leader_commit,
            };
            assert!(rpc::decode_append(rpc::encode_append(&append)).is_err(), "{append:?}");
        }
    }
    let higher = |term| rpc::encode_append_answer(&AppendEntriesResponse::HigherVote(vote(term)));
    assert!(rpc::decode_append_answer(higher(QUORUM_TERM_STEP + 6), None, 6).is_ok());
    assert!(rpc::decode_append_answer(higher(QUORUM_TERM_STEP + 7), None, 6).is_err());
    assert!(rpc::decode_append_answer(higher(far), None, far).is_err());
    let more = AppendEntriesResponse::PartialSuccess(Some(log_id(1, 1, 9)));
    let more = rpc::encode_append_answer(&more);
    assert!(rpc::decode_append_answer(more, Some(log_id(1, 1, 8)), 1).is_err());
}

#[tokio::test]
async fn a_member_speaks_for_itself_and_in_a_term_that_can_be() {
    let Started { quorum, .. } =
        super::start(options(Arc::new(SimFiles::new())), state()).await.unwrap();
    let (one, other) = (NodeId::from(1), NodeId::from(2));
    let ask = |from: NodeId, vote: Vote| {
        let append = AppendEntriesRequest::<Config> {
            vote: Vote { committed: true, ..vote },
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        let (meta, data) = snapshot_at(log_id(1, 1, 1));
        let (offset, data, done) = (0, data.into_inner(), false);
        let piece = InstallSnapshotRequest::<Config> { vote, meta, offset, data, done };
        let asked = [
            (Kind::Vote, rpc::encode_vote(&VoteRequest::new(vote, None))),
            (Kind::Append, rpc::encode_append(&append)),
            (Kind::Snapshot, rpc::encode_snapshot(piece)),
        ];
        let quorum = Arc::clone(&quorum);
        asked.map(move |(kind, request)| {
            let quorum = Arc::clone(&quorum);
            async move { (kind, quorum.answer(from, kind, request).await) }
        })
    };
    for (from, vote) in [(one, Vote::new(3, other)), (one, Vote::new(QUORUM_TERM_STEP + 1, one))] {
        for asked in ask(from, vote) {
            let (kind, refused) = asked.await;
            let code = refused.map_err(|refusal| refusal.code);
            assert_eq!(code, Err(RefusalCode::Invalid), "{kind:?} of {vote}");
        }
    }
    for asked in ask(one, Vote::new(3, one)) {
        let (kind, answered) = asked.await;
        assert!(answered.is_ok(), "{kind:?}: {answered:?}");
    }
    quorum.stop().await;
}

proptest! {
    /// What nodes send is judged before it is believed.
    #[test]
    fn arbitrary_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = rpc::decode_append(bytes.clone());
        let _ = rpc::decode_append_answer(bytes.clone(), None, 0);
        let _ = rpc::decode_vote(bytes.clone());
        let _ = rpc::decode_vote_answer(bytes.clone(), 0);
        let _ = rpc::decode_snapshot(bytes.clone());
        let _ = rpc::decode_snapshot_answer(bytes.clone(), 0);
        let _ = codec::decode_entry(bytes.clone());
        if let Ok(entries) = bundle::split(bytes.clone()) {
            prop_assert_eq!(bundle::join(entries), bytes);
        }
    }
}
