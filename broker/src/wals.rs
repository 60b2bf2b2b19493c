//! The write-ahead logs of a process: the one it writes, and those in which former epochs left
//! slots, which may be of another kind.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use odradek_common::blocking;
use odradek_metadata::image::Registration;
use odradek_metadata::{Image, WalKind as RegisteredKind};
use odradek_storage::collect::SealCheck;
use odradek_storage::names::{Names, SlotRef};
use odradek_storage::slots::{SlotError, SlotReader};
use odradek_storage::store::Store;
use odradek_storage::wal::{
    DeleteError, DiskError, DiskOptions, DiskWal, ObjectOptions, ObjectWal, Wal, WalKind,
};

use crate::directory::DataDirectory;
use crate::process::World;
use crate::settings::{self, Settings};

/// Why a write-ahead log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum WalsError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Whether the write-ahead log on the disk may hold what is nowhere else: slots of an epoch that is
/// not recovered yet, which the last one never is, or, where there `was_one`, slots that an index
/// object refers to. Which of them do is not in the metadata; manifests never do.
#[must_use]
pub fn disk_is_needed(image: &Image, was_one: bool) -> bool {
    let is_left = |of: &Registration| of.wal == RegisteredKind::Disk && !of.recovered;
    image.registrations().any(is_left) || was_one && image.index_objects().next().is_some()
}

/// The write-ahead logs.
pub struct Wals {
    kind: WalKind,
    object: Arc<ObjectWal>,
    disk: Option<Arc<DiskWal>>,
}

impl fmt::Debug for Wals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wals").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Wals {
    /// Opens what this process writes, and the disk where the directory has a log on it: a former
    /// epoch may have left something there. For a log on the disk the directory must have it.
    ///
    /// # Errors
    /// The disk cannot be used.
    pub async fn open(
        settings: &Settings,
        world: &World,
        directory: &DataDirectory,
        store: &Store,
        names: &Names,
    ) -> Result<Self, WalsError> {
        let object = ObjectWal::new(
            store.direct(),
            names.clone(),
            ObjectOptions { phases: world.phases.clone(), ..ObjectOptions::default() },
            world.random.clone(),
        );
        let kind = match settings.wal_kind {
            settings::WalKind::Object => WalKind::Object,
            settings::WalKind::Disk => WalKind::Disk,
        };
        // What former epochs left there is read from there, also when slots now go to the store.
        let disk = if directory.has_wal() {
            let options = DiskOptions {
                file_bytes: settings.wal.disk_file_bytes,
                phases: world.phases.clone(),
                ..DiskOptions::new(directory.wal(), names.cluster().clone())
            };
            let (files, random) = (world.files.clone(), world.random.clone());
            let open = move || DiskWal::open(options, files, random);
            Some(Arc::new(blocking::run(open).await?))
        } else {
            None
        };
        Ok(Self { kind, object: Arc::new(object), disk })
    }

    /// The one that this process writes.
    #[must_use]
    pub fn own(&self) -> Arc<dyn Wal> {
        match (&self.disk, self.kind) {
            (Some(disk), WalKind::Disk) => disk.clone(),
            _ => self.object.clone(),
        }
    }

    /// The one that the incarnation wrote.
    #[must_use]
    pub fn of(&self, registration: &Registration) -> Arc<dyn Wal> {
        match (&self.disk, registration.wal) {
            (Some(disk), RegisteredKind::Disk) => disk.clone(),
            _ => self.object.clone(),
        }
    }

    /// Deletes the slots on the local disk that nobody needs. Those in the store are the
    /// collector's.
    ///
    /// # Errors
    /// The disk.
    pub async fn free_disk(
        &self,
        is_free: impl Fn(SlotRef) -> bool,
        referred: &HashSet<SlotRef>,
    ) -> Result<(), DeleteError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let mut slots = disk.slots();
        slots.retain(|slot| is_free(*slot) && !referred.contains(slot));
        if slots.is_empty() { Ok(()) } else { disk.delete(&slots).await }
    }
}

#[async_trait]
impl SlotReader for Wals {
    async fn read(&self, at: SlotRef, position: u64, length: u64) -> Result<Bytes, SlotError> {
        // Which kind an epoch wrote is forgotten once it is recovered, while index objects may
        // still refer to its slots.
        match &self.disk {
            Some(disk) => match disk.read(at, position, length).await {
                Err(SlotError::Gone) => self.object.read(at, position, length).await,
                read => read,
            },
            None => self.object.read(at, position, length).await,
        }
    }
}

#[async_trait]
impl SealCheck for Wals {
    async fn is_seal(
        &self,
        at: SlotRef,
        size: u64,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        self.object.is_seal(at, size).await
    }
}
