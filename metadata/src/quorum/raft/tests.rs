//! openraft's own conformance suite on our store, and the stored form of what it keeps.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use odradek_common::files::SharedFiles;
use odradek_common::files::sim::SimFiles;
use odradek_common::ids::BrokerId;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest, VoteResponse,
};
use openraft::storage::RaftLogStorage;
use openraft::testing::{StoreBuilder, Suite};
use openraft::{EntryPayload, LeaderId, SnapshotMeta, StorageError, StoredMembership};
use proptest::prelude::*;

use super::applier::Applier;
use super::log_store::LogStore;
use super::{Config, Entry, LogId, Membership, NodeId, Proposal, RaftOptions, Vote, codec, rpc};
use crate::ids::{DirectoryId, Endpoint};
use crate::peer::{Introduction, Peers, tests::Hub};
use crate::quorum::bundle;
use crate::state::State;
use crate::waiting::Waiting;
use crate::wire::DecodeError;

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

fn state() -> State {
    let random: odradek_common::random::SharedRandom =
        Arc::new(odradek_common::random::SeededRandom::from_seed(1));
    State::new(Arc::new(Waiting::new(&random)))
}

fn options(files: SharedFiles) -> RaftOptions {
    let me = NodeId::from(0);
    let introduction = Introduction::new(me, None, state().subscribe());
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
        Ok(((), opened.log, opened.applier))
    }
}

#[test]
fn openrafts_conformance_suite_passes() {
    Suite::test_all(OnSimulatedDisk).unwrap();
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
        let back = rpc::decode_append_answer(rpc::encode_append_answer(&answer)).unwrap();
        assert_eq!(back, answer);
    }
    let vote = VoteRequest::new(Vote::new(4, 1.into()), Some(log_id(1, 2, 3)));
    assert_eq!(rpc::decode_vote(rpc::encode_vote(&vote)).unwrap(), vote);
    let granted = VoteResponse::new(Vote::new(4, 1.into()), None, true);
    assert_eq!(rpc::decode_vote_answer(rpc::encode_vote_answer(&granted)).unwrap(), granted);
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

proptest! {
    /// What nodes send is judged before it is believed.
    #[test]
    fn arbitrary_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = rpc::decode_append(bytes.clone());
        let _ = rpc::decode_append_answer(bytes.clone());
        let _ = rpc::decode_vote(bytes.clone());
        let _ = rpc::decode_vote_answer(bytes.clone());
        let _ = rpc::decode_snapshot(bytes.clone());
        let _ = rpc::decode_snapshot_answer(bytes.clone());
        let _ = codec::decode_entry(bytes.clone());
        if let Ok(entries) = bundle::split(bytes.clone()) {
            prop_assert_eq!(bundle::join(entries), bytes);
        }
    }
}
