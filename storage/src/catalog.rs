//! What lies where: index objects and manifests, read by name and kept in memory while there is room.

use std::sync::Arc;

use object_store::ObjectStore;
use odradek_common::ids::TopicPartition;

use crate::index::IndexObject;
use crate::manifest::Manifest;
use crate::names::{Names, ObjectName};
use crate::range::{CoverageError, PartitionRanges};

/// Why the catalog cannot say where a log lies.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CatalogError {
    /// An index object or manifest is not there: the caller's image of the metadata is stale. It
    /// reads a newer one and asks again; if that names it still, data was lost.
    #[error("{0} is not there: the metadata that names it is stale, or it was lost")]
    Stale(ObjectName),
    /// The store did not give it.
    #[error("could not read {name}: {source}")]
    Store {
        /// The object.
        name: ObjectName,
        /// What the store said.
        source: Arc<object_store::Error>,
    },
    /// Its bytes are not what they should be.
    #[error("{name} is malformed: {what}")]
    Malformed {
        /// The object.
        name: ObjectName,
        /// What is wrong.
        what: String,
    },
    /// An index object holds nothing of a partition that the metadata says it does.
    #[error("{name} holds nothing of {partition}")]
    NoSuchPart {
        /// The object.
        name: ObjectName,
        /// The partition.
        partition: TopicPartition,
    },
    /// The ranges do not make up the log.
    #[error("manifest {manifest:?} and index objects {index_objects:?}: {source}")]
    Coverage {
        /// The manifest that was read.
        manifest: Option<ObjectName>,
        /// The index objects that were read.
        index_objects: Vec<ObjectName>,
        /// What is wrong.
        source: CoverageError,
    },
}

/// Reads index objects and manifests. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Catalog {
    store: Arc<dyn ObjectStore>,
    names: Names,
}

impl Catalog {
    /// A catalog that keeps up to about `cache_bytes` of what it read.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, names: Names, cache_bytes: u64) -> Self {
        let _ = cache_bytes;
        Self { store, names }
    }

    /// The index object `name`. Several who ask for it at once read it once.
    ///
    /// # Errors
    /// It is gone, cannot be read, or is malformed.
    pub async fn index_object(&self, name: ObjectName) -> Result<Arc<IndexObject>, CatalogError> {
        let _ = (&self.store, &self.names, name);
        unreachable!("skeleton")
    }

    /// The manifest `name`. Several who ask for it at once read it once.
    ///
    /// # Errors
    /// It is gone, cannot be read, or is malformed.
    pub async fn manifest(&self, name: ObjectName) -> Result<Arc<Manifest>, CatalogError> {
        let _ = name;
        unreachable!("skeleton")
    }

    /// Where the flushed log of `partition` lies, from `log_start` to `flushed_end`. The arguments
    /// are of one image of the metadata: the manifest of the partition's group and the live index
    /// objects that *accepted* this partition, in any order.
    ///
    /// # Errors
    /// Something is gone or malformed, or offsets are missing or there twice.
    pub async fn ranges(
        &self,
        partition: TopicPartition,
        manifest: Option<ObjectName>,
        index_objects: &[ObjectName],
        log_start: i64,
        flushed_end: i64,
    ) -> Result<Arc<PartitionRanges>, CatalogError> {
        let _ = (partition, manifest, index_objects, log_start, flushed_end);
        unreachable!("skeleton")
    }
}
