//! openraft's state machine: our image, and its snapshots.

use std::io::Cursor;
use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta,
    StorageError, StorageIOError, StoredMembership,
};

use super::log_size::LogSize;
use super::{Config, Entry, LogId, NodeId, Proposal, aside, codec};
use crate::disk::{DiskError, Snapshots, StoredSnapshot};
use crate::ids::Endpoint;
use crate::image::Image;
use crate::quorum::installs::Installs;
use crate::state::{Applying, State};
use crate::wire::{DecodeError, decode_snapshot, encode_snapshot};

type Meta = SnapshotMeta<NodeId, Endpoint>;

/// Where the applied state stands.
#[derive(Clone, Debug, Default)]
struct Position {
    last: Option<LogId>,
    membership: StoredMembership<NodeId, Endpoint>,
}

/// Applies entries to the image and publishes it.
#[derive(Debug)]
pub(super) struct Applier {
    state: State,
    position: Position,
    snapshots: Arc<Snapshots>,
    installs: Arc<Installs>,
    size: Arc<LogSize>,
}

impl Applier {
    /// Begins at the newest snapshot.
    pub(super) fn open(
        snapshots: Arc<Snapshots>,
        installs: Arc<Installs>,
        state: State,
        size: Arc<LogSize>,
    ) -> Result<Self, OpenError> {
        let newest = snapshots.newest()?;
        let position = Position::default();
        let mut applier = Self { state, position, snapshots, installs, size };
        if let Some(snapshot) = newest {
            let meta = codec::decode_meta(snapshot.description.as_slice())?;
            applier.stand_at(&meta, decode_snapshot(&snapshot.image)?);
        }
        Ok(applier)
    }

    /// The last entry that is part of the state.
    pub(super) fn last_applied(&self) -> Option<LogId> {
        self.position.last
    }

    async fn install(&mut self, meta: &Meta, bytes: Vec<u8>) -> Result<(), StorageError<NodeId>> {
        let image = decode_snapshot(&bytes).map_err(|e| {
            StorageIOError::read_snapshot(Some(meta.signature()), AnyError::new(&e))
        })?;
        if let Some(last) = meta.last_log_id {
            self.installs.note_installed(last.index);
        }
        store(&self.snapshots, &self.installs, meta, bytes).await?;
        self.stand_at(meta, image);
        Ok(())
    }

    fn stand_at(&mut self, meta: &Meta, image: Image) {
        let (last, membership) = (meta.last_log_id, meta.last_membership.clone());
        self.position = Position { last, membership };
        self.state.replace(image);
    }
}

fn apply(
    applying: &mut Applying<'_>,
    position: &mut Position,
    size: &LogSize,
    entry: Entry,
) -> Result<(), DecodeError> {
    let id = entry.log_id;
    match entry.payload {
        EntryPayload::Blank => applying.apply(id.index, None)?,
        EntryPayload::Normal(Proposal { commands, .. }) => {
            size.add(commands.len());
            applying.apply(id.index, Some(&commands))?;
        }
        EntryPayload::Membership(membership) => {
            position.membership = StoredMembership::new(Some(id), membership);
            applying.apply(id.index, None)?;
        }
    }
    position.last = Some(id);
    Ok(())
}

/// The newest snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl RaftStateMachine<Config> for Applier {
    type SnapshotBuilder = Builder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId>, StoredMembership<NodeId, Endpoint>), StorageError<NodeId>> {
        Ok((self.position.last, self.position.membership.clone()))
    }

    /// An entry that cannot be decoded stops the node.
    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applying = self.state.begin();
        let mut done = Vec::new();
        for entry in entries {
            let id = entry.log_id;
            let applied = apply(&mut applying, &mut self.position, &self.size, entry);
            applied.map_err(|e| StorageIOError::apply(id, AnyError::new(&e)))?;
            done.push(());
        }
        applying.publish();
        Ok(done)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            image: self.state.image(),
            position: self.position.clone(),
            snapshots: Arc::clone(&self.snapshots),
            installs: Arc::clone(&self.installs),
        }
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<NodeId>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<NodeId>> {
        let installed = self.install(meta, snapshot.into_inner()).await;
        if installed.is_err() {
            // Who waits to purge the log before it need not wait longer.
            self.installs.note_failure();
        }
        installed
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<Config>>, StorageError<NodeId>> {
        let snapshots = Arc::clone(&self.snapshots);
        let newest = aside(move || snapshots.newest()).await;
        let newest = newest.map_err(|error| StorageIOError::read_snapshot(None, error))?;
        let Some(newest) = newest else { return Ok(None) };
        let meta = codec::decode_meta(newest.description.as_slice())
            .map_err(|e| StorageIOError::read_snapshot(None, AnyError::new(&e)))?;
        Ok(Some(Snapshot { meta, snapshot: Box::new(Cursor::new(newest.image)) }))
    }
}

/// Writes down the image as it was when the builder was made, while others are applied.
#[derive(Debug)]
pub(super) struct Builder {
    image: Arc<Image>,
    position: Position,
    snapshots: Arc<Snapshots>,
    installs: Arc<Installs>,
}

impl RaftSnapshotBuilder<Config> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Config>, StorageError<NodeId>> {
        let Position { last, membership } = self.position.clone();
        let id = last.map_or_else(|| "empty".to_owned(), |last| last.to_string());
        let meta = Meta { last_log_id: last, last_membership: membership, snapshot_id: id };
        let image = Arc::clone(&self.image);
        let bytes = aside(move || Ok::<_, DiskError>(encode_snapshot(&image))).await;
        let bytes = bytes.map_err(|error| StorageIOError::write_snapshot(None, error))?;
        store(&self.snapshots, &self.installs, &meta, bytes.clone()).await?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) })
    }
}

async fn store(
    snapshots: &Arc<Snapshots>,
    installs: &Installs,
    meta: &Meta,
    image: Vec<u8>,
) -> Result<(), StorageError<NodeId>> {
    let snapshots = Arc::clone(snapshots);
    let stored = StoredSnapshot { description: codec::encode_meta(meta), image };
    let index = meta.last_log_id.map_or(0, |last| last.index);
    let written = aside(move || snapshots.write(index, &stored)).await;
    let signature = Some(meta.signature());
    written.map_err(|error| StorageIOError::write_snapshot(signature, error))?;
    installs.note_durable(index);
    Ok(())
}
