//! openraft's own conformance suite on our store, and the stored form of what it keeps.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use odradek_common::files::SharedFiles;
use odradek_common::files::sim::SimFiles;
use odradek_common::ids::BrokerId;
use openraft::storage::RaftLogStorage;
use openraft::testing::{StoreBuilder, Suite, log_id};
use openraft::{EmptyNode, EntryPayload, LeaderId, SnapshotMeta, StorageError, StoredMembership};
use tokio::sync::watch;

use super::applier::Applier;
use super::log_store::LogStore;
use super::{Config, Entry, Membership, NodeId, Proposal, RaftOptions, Vote, codec};
use crate::ids::DirectoryId;
use crate::image::Image;
use crate::wire::DecodeError;

struct OnSimulatedDisk;

fn options(files: SharedFiles) -> RaftOptions {
    RaftOptions {
        node: BrokerId(0),
        directory_id: DirectoryId(uuid::Uuid::from_u128(7)),
        directory: PathBuf::from("/raft"),
        formed: false,
        files,
        snapshot_entries: 100,
        phases: odradek_common::phases::Phases::none(),
    }
}

impl StoreBuilder<Config, LogStore, Applier> for OnSimulatedDisk {
    async fn build(&self) -> Result<((), LogStore, Applier), StorageError<NodeId>> {
        let (images, _) = watch::channel(Arc::new(Image::default()));
        let (log, applier) = super::open(options(Arc::new(SimFiles::new())), images).unwrap();
        Ok(((), log, applier))
    }
}

#[test]
fn openrafts_conformance_suite_passes() {
    Suite::test_all(OnSimulatedDisk).unwrap();
}

fn membership() -> Membership {
    Membership::new(
        vec![[1, 2].into(), [2, 3].into()],
        [1, 2, 3, 4].into_iter().collect::<std::collections::BTreeSet<_>>(),
    )
}

#[test]
fn entries_votes_and_descriptions_round_trip() {
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(Proposal(Bytes::from_static(b"commands"))),
        EntryPayload::Membership(membership()),
    ];
    for payload in payloads {
        let entry = Entry { log_id: log_id(3, 2, 9), payload };
        let back = codec::decode_entry(codec::encode_entry(&entry)).unwrap();
        assert_eq!(back.log_id, entry.log_id);
        assert_eq!(back.payload, entry.payload);
    }
    for committed in [true, false] {
        let vote = Vote { leader_id: LeaderId::new(5, 1), committed };
        assert_eq!(codec::decode_vote(&codec::encode_vote(&vote)).unwrap(), vote);
    }
    let meta = SnapshotMeta::<NodeId, EmptyNode> {
        last_log_id: Some(log_id(3, 2, 9)),
        last_membership: StoredMembership::new(Some(log_id(1, 1, 0)), membership()),
        snapshot_id: "x".to_owned(),
    };
    assert_eq!(codec::decode_meta(&codec::encode_meta(&meta)).unwrap(), meta);
    assert_eq!(
        codec::decode_meta(&codec::encode_meta(&SnapshotMeta::default())).unwrap(),
        SnapshotMeta::default()
    );
}

#[test]
fn a_stored_entry_has_these_bytes() {
    let payload = EntryPayload::Normal(Proposal(Bytes::from_static(b"ab")));
    let entry = Entry { log_id: log_id(3, 2, 9), payload };
    let golden = [8, 1, 18, 6, 8, 3, 16, 2, 24, 9, 34, 2, b'a', b'b'];
    assert_eq!(codec::encode_entry(&entry), golden);
    let newer = [&[8, 2][..], &golden[2..]].concat();
    let error = codec::decode_entry(newer).unwrap_err();
    assert!(matches!(error, DecodeError::Newer { found: 2, known: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_vote_is_durable_when_it_is_saved() {
    let files = SimFiles::new();
    let open = |files: &SimFiles| {
        let (images, _) = watch::channel(Arc::new(Image::default()));
        super::open(options(Arc::new(files.clone())), images).unwrap().0
    };
    let mut store = open(&files);
    for term in 1..20 {
        let vote = Vote::new(term, 0);
        store.save_vote(&vote).await.unwrap();
        let random = odradek_common::random::SeededRandom::from_seed(term);
        let mut after = open(&files.power_cut(&random));
        assert_eq!(after.read_vote().await.unwrap(), Some(vote));
    }
}
