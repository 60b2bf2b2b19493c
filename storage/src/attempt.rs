//! An attempt: one run of a flush, merge, takeover or handover that writes objects. Its birth mark
//! is taken once, at its start, and stands in the names of all its objects; each name is unique to
//! it and each object is created with put-if-absent (law 4.3).

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, path::Path};
use odradek_common::limits;
use odradek_common::random::SharedRandom;

use crate::names::{Names, ObjectKind, ObjectName};
use crate::slots::SlotReader;

/// What writes the objects of one attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    store: Arc<dyn ObjectStore>,
    names: Names,
    random: SharedRandom,
    slots: Arc<dyn SlotReader>,
    mark: u64,
}

/// Why an object was not created. After [`CreateError::Store`] it may be there all the same, or
/// come later: the attempt ends, and what it left is collected.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The store did not say that it was.
    #[error("could not create {name}: {source}")]
    Store {
        /// The object.
        name: ObjectName,
        /// What the store said.
        source: object_store::Error,
    },
    /// A list longer than any reader takes; nothing was written.
    #[error("{name} would have {bytes} bytes")]
    TooLarge {
        /// The object.
        name: ObjectName,
        /// Its length.
        bytes: usize,
    },
    /// Another object stands under a name that is unique to this attempt.
    #[error("{name} is already there and is not what was to be written")]
    NotOurs {
        /// The object.
        name: ObjectName,
    },
}

/// Bytes at an object's end that tell whether it is ours: they hold its footer or, for lists, a
/// CRC over all of it.
const TAIL_BYTES: usize = 4096;

impl Attempt {
    /// An attempt that begins when the Raft index `mark` is applied.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        names: Names,
        random: SharedRandom,
        slots: Arc<dyn SlotReader>,
        mark: u64,
    ) -> Self {
        Self { store, names, random, slots, mark }
    }

    /// The birth mark.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// Reads slots that still hold ranges.
    #[must_use]
    pub fn slots(&self) -> &dyn SlotReader {
        &*self.slots
    }

    /// A name that no object had or will have.
    #[must_use]
    pub fn fresh_name(&self, kind: ObjectKind) -> ObjectName {
        ObjectName { kind, mark: self.mark, unique: self.random.next_uuid() }
    }

    /// Creates an index object or a manifest.
    ///
    /// # Errors
    /// As for [`Self::create`], or it is longer than any reader takes.
    pub async fn create_list(&self, name: ObjectName, list: Bytes) -> Result<(), CreateError> {
        let bytes = list.len();
        if bytes as u64 > limits::LIST_OBJECT_BYTES {
            return Err(CreateError::TooLarge { name, bytes });
        }
        self.create(name, list.into()).await
    }

    /// Creates `name` with put-if-absent. "Already exists" may be our own put, repeated below us
    /// after its answer was lost: that is found out by reading.
    ///
    /// # Errors
    /// The put failed, or the name is taken by other bytes.
    pub async fn create(&self, name: ObjectName, payload: PutPayload) -> Result<(), CreateError> {
        let path = self.names.object(&name);
        let put = self.store.put_opts(&path, payload.clone(), PutMode::Create.into()).await;
        match put {
            Ok(_) => Ok(()),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => match self.is_there(&path, &payload).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(CreateError::NotOurs { name }),
                Err(source) => Err(CreateError::Store { name, source }),
            },
            Err(source) => Err(CreateError::Store { name, source }),
        }
    }

    /// True if the object at `path` has the length and the tail of `payload`.
    async fn is_there(
        &self,
        path: &Path,
        payload: &PutPayload,
    ) -> Result<bool, object_store::Error> {
        let length = u64::try_from(payload.content_length()).unwrap_or(u64::MAX);
        if self.store.head(path).await?.size != length {
            return Ok(false);
        }
        let tail = tail(payload);
        let start = length - u64::try_from(tail.len()).unwrap_or(length);
        Ok(tail.is_empty() || self.store.get_range(path, start..length).await? == tail)
    }
}

fn tail(payload: &PutPayload) -> Vec<u8> {
    let mut skip = payload.content_length().saturating_sub(TAIL_BYTES);
    let mut tail = Vec::with_capacity(payload.content_length().min(TAIL_BYTES));
    for chunk in payload {
        let skipped = skip.min(chunk.len());
        tail.extend_from_slice(&chunk[skipped..]);
        skip -= skipped;
    }
    tail
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use odradek_common::random::SeededRandom;

    use super::*;
    use crate::slots::NoSlots;

    fn attempt() -> Attempt {
        let names = Names::new(Path::default(), "c".parse().unwrap());
        let random = Arc::new(SeededRandom::from_seed(1));
        Attempt::new(Arc::new(InMemory::new()), names, random, Arc::new(NoSlots), 7)
    }

    fn payload(parts: &[&'static [u8]]) -> PutPayload {
        parts.iter().map(|part| Bytes::from_static(part)).collect()
    }

    #[tokio::test]
    async fn our_own_put_that_comes_back_is_ours() {
        let attempt = attempt();
        let name = attempt.fresh_name(ObjectKind::Segment);
        assert_eq!(name.mark, 7);
        attempt.create(name, payload(&[b"ab", b"cd"])).await.unwrap();
        attempt.create(name, payload(&[b"abc", b"d"])).await.unwrap();
        for other in [&b"abce"[..], b"abcde", b""] {
            let result = attempt.create(name, payload(&[other])).await;
            assert!(matches!(result, Err(CreateError::NotOurs { .. })));
        }
        assert_ne!(attempt.fresh_name(ObjectKind::Segment), name);
    }

    #[tokio::test]
    async fn a_list_that_nobody_could_read_is_not_written() {
        let attempt = attempt();
        let name = attempt.fresh_name(ObjectKind::Index);
        let bytes = usize::try_from(limits::LIST_OBJECT_BYTES).unwrap();
        let long = vec![0; bytes + 1].into();
        let long = attempt.create_list(name, long).await;
        assert!(matches!(long, Err(CreateError::TooLarge { .. })));
        attempt.create_list(name, vec![0; 5].into()).await.unwrap();
    }

    #[test]
    fn the_tail_spans_chunks() {
        let long: Bytes = vec![1; TAIL_BYTES - 1].into();
        let payload: PutPayload = [Bytes::from_static(b"xyz"), long].into_iter().collect();
        let tail = tail(&payload);
        assert_eq!((tail.len(), tail[0], tail[1]), (TAIL_BYTES, b'z', 1));
    }
}
