//! What lies where: index objects and manifests, read by name and kept in memory while there is room.
//! They never change, so nothing here can be out of date; the names that a caller has can.

use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;
use object_store::{ObjectStore, ObjectStoreExt};
use odradek_common::ids::TopicPartition;
use odradek_common::limits;

use crate::index::IndexObject;
use crate::manifest::Manifest;
use crate::names::{Names, ObjectName};
use crate::range::{CoverageError, ListError, PartitionRanges, Range};

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
    lists: Cache<ObjectName, Listed>,
    logs: Cache<LogKey, Arc<PartitionRanges>>,
}

/// A list that was read.
#[derive(Clone, Debug)]
enum Listed {
    Index(Arc<IndexObject>),
    Manifest(Arc<Manifest>),
}

/// All that decides where a log lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LogKey {
    partition: TopicPartition,
    manifest: Option<ObjectName>,
    index_objects: Vec<ObjectName>,
    log_start: i64,
    flushed_end: i64,
}

impl Catalog {
    /// A catalog that keeps up to about `cache_bytes` of what it read, and a quarter of that of
    /// what it found out about single partitions.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, names: Names, cache_bytes: u64) -> Self {
        let lists = Cache::builder()
            .weigher(|_, listed: &Listed| listed.weight())
            .max_capacity(cache_bytes);
        let logs = Cache::builder().weigher(weight_of_log).max_capacity(cache_bytes / 4);
        Self { store, names, lists: lists.build(), logs: logs.build() }
    }

    /// Bytes kept, as of the caches' last tidying.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.lists.weighted_size() + self.logs.weighted_size()
    }

    /// The most bytes that are kept.
    #[must_use]
    pub fn cached_bytes_max(&self) -> u64 {
        let capacity = |max: Option<u64>| max.unwrap_or(0);
        capacity(self.lists.policy().max_capacity()) + capacity(self.logs.policy().max_capacity())
    }

    /// The index object `name`. Several who ask for it at once read it once.
    ///
    /// # Errors
    /// It is gone, cannot be read, or is malformed.
    pub async fn index_object(&self, name: ObjectName) -> Result<Arc<IndexObject>, CatalogError> {
        let decode = |bytes: &Bytes| IndexObject::decode(bytes).map(Arc::new).map(Listed::Index);
        match self.list(name, decode).await? {
            Listed::Index(index) => Ok(index),
            Listed::Manifest(_) => Err(malformed(name, "it is a manifest")),
        }
    }

    /// The manifest `name`. Several who ask for it at once read it once.
    ///
    /// # Errors
    /// It is gone, cannot be read, or is malformed.
    pub async fn manifest(&self, name: ObjectName) -> Result<Arc<Manifest>, CatalogError> {
        let decode = |bytes: &Bytes| Manifest::decode(bytes).map(Arc::new).map(Listed::Manifest);
        match self.list(name, decode).await? {
            Listed::Manifest(manifest) => Ok(manifest),
            Listed::Index(_) => Err(malformed(name, "it is an index object")),
        }
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
        let mut index_objects = index_objects.to_vec();
        index_objects.sort_unstable();
        let key = LogKey { partition, manifest, index_objects, log_start, flushed_end };
        if let Some(known) = self.logs.get(&key).await {
            return Ok(known);
        }
        // Without single flight: the lists have it, and the rest is a matter of microseconds.
        let ranges = Arc::new(self.assemble(&key).await?);
        self.logs.insert(key, Arc::clone(&ranges)).await;
        Ok(ranges)
    }

    async fn assemble(&self, key: &LogKey) -> Result<PartitionRanges, CatalogError> {
        let partition = key.partition;
        let mut ranges: Vec<Range> = Vec::new();
        let mut newest = (0, Bytes::new());
        // A partition that is new has nothing anywhere: it is taken up also while the store is away.
        let manifest = key.manifest.filter(|_| key.flushed_end > 0);
        if let Some(name) = manifest
            && let Some(entry) = self.manifest(name).await?.partitions.get(&partition)
        {
            ranges.extend(&entry.ranges);
            newest = (entry.end, entry.checkpoint.clone());
        }
        for name in &key.index_objects {
            let index = self.index_object(*name).await?;
            let part = index
                .part(&partition)
                .ok_or(CatalogError::NoSuchPart { name: *name, partition })?;
            ranges.extend(&part.ranges);
            if part.next_offset() > newest.0 {
                newest = (part.next_offset(), part.checkpoint.clone());
            }
        }
        PartitionRanges::new(partition, key.log_start, key.flushed_end, ranges, newest.1).map_err(
            |source| CatalogError::Coverage {
                manifest: key.manifest,
                index_objects: key.index_objects.clone(),
                source,
            },
        )
    }

    async fn list(
        &self,
        name: ObjectName,
        decode: impl Fn(&Bytes) -> Result<Listed, ListError> + Send,
    ) -> Result<Listed, CatalogError> {
        let read = async {
            match decode(&self.get(name).await?) {
                Ok(listed) => Ok(listed),
                // Once more: what was damaged on its way may arrive now.
                Err(_) => decode(&self.get(name).await?)
                    .map_err(|error| malformed(name, &error.to_string())),
            }
        };
        self.lists.try_get_with(name, read).await.map_err(|error| (*error).clone())
    }

    async fn get(&self, name: ObjectName) -> Result<Bytes, CatalogError> {
        let failed = |source: object_store::Error| match source {
            object_store::Error::NotFound { .. } => CatalogError::Stale(name),
            source => CatalogError::Store { name, source: Arc::new(source) },
        };
        let found = self.store.get(&self.names.object(&name)).await.map_err(failed)?;
        if found.meta.size > limits::LIST_OBJECT_BYTES {
            return Err(malformed(name, "its length is beyond all limits"));
        }
        found.bytes().await.map_err(failed)
    }
}

impl Listed {
    fn weight(&self) -> u32 {
        let bytes = match self {
            Self::Index(index) => index.memory_bytes(),
            Self::Manifest(manifest) => manifest.memory_bytes(),
        };
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

fn weight_of_log(key: &LogKey, log: &Arc<PartitionRanges>) -> u32 {
    let bytes = size_of::<LogKey>()
        + size_of_val(key.index_objects.as_slice())
        + size_of::<PartitionRanges>()
        + size_of_val(log.ranges());
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn malformed(name: ObjectName, what: &str) -> CatalogError {
    CatalogError::Malformed { name, what: what.to_owned() }
}

#[cfg(test)]
mod tests;
