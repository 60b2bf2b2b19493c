//! The collector: deletes the objects born before a committed horizon to which nothing refers, and
//! the slots that nobody needs. It never deletes a seal.
//!
//! Every round lists everything: a put may land, or an old object lose its last reference, after
//! any listing.

mod references;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore, path::Path};
use odradek_common::limits;
use odradek_common::phases::{Phase, Phases};
use tokio::time::Instant;

use crate::catalog::{Catalog, CatalogError};
use crate::metric_names;
use crate::names::{Names, ObjectKind, ObjectName, SlotRef};
use references::References;

pub use references::{ChainState, Roots};

/// Tells a seal from a slot.
#[async_trait]
pub trait SealCheck: Send + Sync + std::fmt::Debug {
    /// True if the object of `size` bytes in the place of `at` is a seal. `Ok(false)` allows its
    /// deletion, so whoever cannot tell gives an error.
    ///
    /// # Errors
    /// It cannot be read or is neither.
    async fn is_seal(
        &self,
        at: SlotRef,
        size: u64,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>>;
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Objects and slots listed.
    pub listed: u64,
    /// Objects with a birth mark that were deleted.
    pub objects_deleted: u64,
    /// Slots that were deleted.
    pub slots_deleted: u64,
    /// Bytes of both.
    pub bytes_deleted: u64,
    /// What nothing refers to but whose grace is not over.
    pub in_grace: u64,
    /// Seals met where a slot would have been deleted.
    pub seals: u64,
    /// Names below the cluster's folders that are none of ours; they stay.
    pub foreign: u64,
    /// Deletions, or looks at what might be a seal, that failed: the next round tries again.
    pub failed: u64,
}

/// Why a round ended early. What it deleted before is gone rightly.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// What is referred to could not be read, so nothing may be deleted.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A listing broke off.
    #[error("could not list {folder}: {source}")]
    List {
        /// What was listed.
        folder: Path,
        /// What the store said.
        source: object_store::Error,
    },
}

/// The collector. It remembers since when nothing refers to what it has not deleted yet, and the
/// seals it has met; that memory saves time and reads, so that losing it is harmless.
#[derive(Debug)]
pub struct Collector {
    store: Arc<dyn ObjectStore>,
    names: Names,
    catalog: Arc<Catalog>,
    seals: Arc<dyn SealCheck>,
    grace: Duration,
    phases: Phases,
    unneeded_since: HashMap<Unneeded, Instant>,
    known_seals: HashSet<SlotRef>,
}

/// Something to which nothing refers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unneeded {
    Object(ObjectName),
    Slot(SlotRef),
}

/// An unneeded object whose grace is over.
#[derive(Debug)]
struct Doomed {
    what: Unneeded,
    path: Path,
    size: u64,
}

/// A round that is under way.
struct Round<'a> {
    roots: &'a Roots,
    references: References,
    now: Instant,
    unneeded_since: HashMap<Unneeded, Instant>,
    collected: Collected,
}

impl Collector {
    /// A collector that deletes what it has seen without a reference for `grace`, which may be
    /// zero: grace only spares readers with an old image of the metadata a second look.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        names: Names,
        catalog: Arc<Catalog>,
        seals: Arc<dyn SealCheck>,
        grace: Duration,
    ) -> Self {
        let (unneeded_since, known_seals) = (HashMap::new(), HashSet::new());
        let phases = Phases::none();
        Self { store, names, catalog, seals, grace, phases, unneeded_since, known_seals }
    }

    /// The same, with deletions noted on a board.
    #[must_use]
    pub fn with_phases(self, phases: Phases) -> Self {
        Self { phases, ..self }
    }

    /// Lists everything and deletes what was born before the horizon of `roots` and is not
    /// referred to by them, and the slots that they say nobody needs.
    ///
    /// # Errors
    /// A listing broke off, or what `roots` refers to could not be read.
    pub async fn collect(&mut self, roots: &Roots) -> Result<Collected, CollectError> {
        let mut round = Round {
            roots,
            references: References::read(&self.catalog, roots).await?,
            now: Instant::now(),
            unneeded_since: HashMap::new(),
            collected: Collected::default(),
        };
        let folders = ObjectKind::ALL.map(|kind| self.names.folder(kind));
        let mut swept = Ok(());
        for folder in folders.into_iter().chain([self.names.wal()]) {
            swept = swept.and(self.sweep(&folder, &mut round).await);
        }
        self.unneeded_since = round.unneeded_since;
        count(&round.collected);
        swept.map(|()| round.collected)
    }

    async fn sweep(&mut self, folder: &Path, round: &mut Round<'_>) -> Result<(), CollectError> {
        let failed = |source| CollectError::List { folder: folder.clone(), source };
        let mut listing = self.store.list(Some(folder));
        let mut doomed = Vec::new();
        while let Some(meta) = listing.try_next().await.map_err(failed)? {
            round.collected.listed += 1;
            doomed.extend(self.judge(meta, round));
            if doomed.len() >= limits::DELETE_CHUNK_OBJECTS {
                self.delete(std::mem::take(&mut doomed), round).await;
            }
        }
        self.delete(doomed, round).await;
        Ok(())
    }

    /// What is listed, if it is to be deleted in this round.
    fn judge(&self, meta: ObjectMeta, round: &mut Round<'_>) -> Option<Doomed> {
        let what = if let Some(name) = self.names.parse_object(&meta.location) {
            if name.mark >= round.roots.horizon || round.references.has(&name) {
                return None;
            }
            Unneeded::Object(name)
        } else if let Some(at) = self.names.parse_slot(&meta.location) {
            let chain = round.roots.chain(at.chain)?;
            let needed_for_recovery = !chain.recovered && at.slot >= chain.trim_point;
            if needed_for_recovery || round.references.has_slot(&at) {
                return None;
            }
            if self.known_seals.contains(&at) {
                round.collected.seals += 1;
                return None;
            }
            Unneeded::Slot(at)
        } else {
            round.collected.foreign += 1;
            return None;
        };
        let since = self.unneeded_since.get(&what).copied().unwrap_or(round.now);
        if round.now.duration_since(since) < self.grace {
            round.collected.in_grace += 1;
            round.remember(what, since);
            return None;
        }
        Some(Doomed { what, path: meta.location, size: meta.size })
    }

    async fn delete(&mut self, doomed: Vec<Doomed>, round: &mut Round<'_>) {
        let doomed = self.spare_seals(doomed, round).await;
        if doomed.is_empty() {
            return;
        }
        let _in = self.phases.enter(Phase::Deletion);
        let by_path: HashMap<Path, (Unneeded, u64)> =
            doomed.iter().map(|doomed| (doomed.path.clone(), (doomed.what, doomed.size))).collect();
        let paths = doomed.into_iter().map(|doomed| Ok(doomed.path));
        let mut deleted = self.store.delete_stream(stream::iter(paths).boxed());
        while let Some(result) = deleted.next().await {
            match result {
                Ok(path) => round.deleted(by_path.get(&path)),
                // Somebody else was faster.
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not delete what nothing refers to");
                    round.collected.failed += 1;
                }
            }
        }
    }

    /// Leaves out seals, and what could not be looked at.
    async fn spare_seals(&mut self, doomed: Vec<Doomed>, round: &mut Round<'_>) -> Vec<Doomed> {
        let seals = &self.seals;
        let looks = stream::iter(doomed)
            .map(|doomed| async move {
                let is_seal = match doomed.what {
                    Unneeded::Object(_) => Ok(false),
                    Unneeded::Slot(at) => seals.is_seal(at, doomed.size).await,
                };
                (doomed, is_seal)
            })
            .buffered(limits::SEAL_CHECKS_AT_ONCE);
        let looked: Vec<_> = looks.collect().await;
        let mut spared = Vec::with_capacity(looked.len());
        for (doomed, is_seal) in looked {
            match (doomed.what, is_seal) {
                (_, Ok(false)) => spared.push(doomed),
                (Unneeded::Slot(at), Ok(true)) => {
                    round.collected.seals += 1;
                    if self.known_seals.len() < limits::KNOWN_SEALS {
                        self.known_seals.insert(at);
                    }
                }
                (Unneeded::Object(_), Ok(true)) => {}
                (_, Err(error)) => {
                    let path = &doomed.path;
                    tracing::warn!(%path, %error, "could not look whether this is a seal");
                    round.collected.failed += 1;
                }
            }
        }
        spared
    }
}

impl Round<'_> {
    /// Remembers since when something is not needed; what does not fit begins its grace later.
    fn remember(&mut self, what: Unneeded, since: Instant) {
        if self.unneeded_since.len() < limits::UNNEEDED_REMEMBERED {
            self.unneeded_since.insert(what, since);
        }
    }

    fn deleted(&mut self, known: Option<&(Unneeded, u64)>) {
        let Some((what, size)) = known else { return };
        match what {
            Unneeded::Object(_) => self.collected.objects_deleted += 1,
            Unneeded::Slot(_) => self.collected.slots_deleted += 1,
        }
        self.collected.bytes_deleted += size;
    }
}

fn count(collected: &Collected) {
    metrics::counter!(metric_names::COLLECTOR_OBJECTS_DELETED).increment(collected.objects_deleted);
    metrics::counter!(metric_names::COLLECTOR_SLOTS_DELETED).increment(collected.slots_deleted);
    metrics::counter!(metric_names::COLLECTOR_BYTES_DELETED).increment(collected.bytes_deleted);
    metrics::counter!(metric_names::COLLECTOR_FAILED).increment(collected.failed);
}
