//! Whether a store is ahead of the metadata that it is opened with: a data directory that was restored from
//! a copy knows nothing of what came after, and would delete it and write over it.

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;
use odradek_common::ids::BrokerId;

use crate::names::{Names, ObjectKind};

/// An object that was begun when the metadata held more than `applied` entries: a segment or list with a
/// higher birth mark, or a slot or seal of a later epoch of `broker`. Who finds one has old metadata. The
/// contrary is not proved: what was begun at the last entry that the old metadata holds is not seen.
///
/// # Errors
/// The store could not be listed.
pub async fn begun_after(
    store: &dyn ObjectStore,
    names: &Names,
    broker: BrokerId,
    applied: u64,
) -> object_store::Result<Option<Path>> {
    let of_broker = names.wal().join(broker.0.to_string());
    let folders = ObjectKind::ALL.map(|kind| names.folder(kind)).into_iter().chain([of_broker]);
    let mut found = stream::iter(folders)
        .map(|folder| async move {
            // All names of ours begin with the number, and go on.
            let next = folder.clone().join(format!("{:020}", applied.saturating_add(1)));
            let mut listing = store.list_with_offset(Some(&folder), &next);
            while let Some(meta) = listing.try_next().await? {
                // Names that are not ours prove nothing, and the store may not go by the offset.
                if number(names, &meta.location).is_some_and(|number| number > applied) {
                    return Ok(Some(meta.location));
                }
            }
            Ok::<_, object_store::Error>(None)
        })
        .buffer_unordered(ObjectKind::ALL.len() + 1);
    let mut first = None;
    while let Some(listed) = found.next().await {
        first = first.or(listed?);
    }
    Ok(first)
}

/// The birth mark of an object, or the epoch of a slot.
fn number(names: &Names, path: &Path) -> Option<u64> {
    let mark = names.parse_object(path).map(|name| name.mark);
    mark.or_else(|| names.parse_slot(path).map(|at| at.chain.epoch.0))
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use odradek_common::ids::{BrokerEpoch, ChainId, SlotNumber};

    use super::*;
    use crate::names::{ChainRef, ObjectName};

    #[tokio::test]
    async fn what_was_begun_later_is_found() {
        let names = Names::new(Path::from("p"), "c".parse().unwrap());
        let slot = |broker, epoch| {
            let epoch = BrokerEpoch(epoch);
            let chain = ChainRef { broker: BrokerId(broker), epoch, chain: ChainId(0) };
            names.slot(chain.slot(SlotNumber(3)))
        };
        let object =
            |kind, mark| names.object(&ObjectName { kind, mark, unique: uuid::Uuid::from_u128(9) });
        let mut all = vec![slot(1, 100)];
        all.extend(ObjectKind::ALL.map(|kind| object(kind, 100)));
        for path in all {
            let store = InMemory::new();
            store.put(&slot(2, 1_000), "x".into()).await.unwrap();
            store.put(&path, "x".into()).await.unwrap();
            store.put(&names.root().join("seg").join("foreign"), "x".into()).await.unwrap();
            let after = |applied| begun_after(&store, &names, BrokerId(1), applied);
            assert_eq!(after(99).await.unwrap(), Some(path.clone()));
            assert_eq!(after(100).await.unwrap(), None, "{path}");
        }
    }
}
