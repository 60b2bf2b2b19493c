use bytes::Bytes;
use odradek_common::ids::GroupId;

use super::*;
use crate::flush::{self, FlushedRound};
use crate::manifest::{Manifest, ManifestEntry};
use crate::names::ObjectKind;
use crate::testkit::{Harm, World, batches, end_of, part, partition};

async fn flushed(world: &World, batches: &[Bytes]) -> FlushedRound {
    flush::write(&world.attempt(1), vec![part(0, batches), part(1, batches)])
        .await
        .unwrap()
        .rounds
        .remove(0)
}

/// A catalog that has read nothing.
fn fresh(world: &World) -> Catalog {
    Catalog::new(Arc::new(world.store.clone()), world.names.clone(), 1 << 20)
}

#[tokio::test]
async fn a_log_is_put_together_from_all_that_holds_it() {
    let world = World::new();
    let first = batches(0, &[10, 20, 30]);
    let second = batches(end_of(&first), &[40]);
    let third = batches(end_of(&second), &[50, 60]);
    let rounds = [flushed(&world, &third).await, flushed(&world, &second).await];
    let oldest = flushed(&world, &first).await;
    let index = world.catalog.index_object(oldest.index_object).await.unwrap();
    let (end, ranges) = (end_of(&first), index.parts[0].ranges.clone());
    let entry = ManifestEntry { end, ranges, checkpoint: Bytes::from_static(b"oldest") };
    let partitions = [(partition(0), entry)].into();
    let manifest = Manifest { group: GroupId(1), version: 1, mark: 1, partitions };
    let attempt = world.attempt(1);
    let name = attempt.fresh_name(ObjectKind::Manifest);
    attempt.create(name, manifest.encode().into()).await.unwrap();

    let index_objects = rounds.map(|round| round.index_object);
    let end = end_of(&third);
    let log = fresh(&world).ranges(partition(0), Some(name), &index_objects, 0, end).await.unwrap();
    assert_eq!((log.start(), log.end(), log.ranges().len()), (0, end, 3));
    assert_eq!(log.checkpoint(), &part(0, &third).checkpoint);
    assert_eq!(log.bytes(), [first, second, third.clone()].concat().concat().len() as u64);
    // Without those that came later the state is that at the end of the manifest.
    let log = fresh(&world).ranges(partition(0), Some(name), &[], 2, 6).await.unwrap();
    assert_eq!(log.checkpoint(), &Bytes::from_static(b"oldest"));

    let hole = fresh(&world).ranges(partition(0), Some(name), &index_objects[..1], 0, end).await;
    let Err(CatalogError::Coverage { source: CoverageError::Hole { .. }, .. }) = hole else {
        panic!("{hole:?}")
    };
    let short = fresh(&world).ranges(partition(0), Some(name), &[], 0, end).await;
    assert!(matches!(short, Err(CatalogError::Coverage { .. })));
    let long = fresh(&world).ranges(partition(0), Some(name), &index_objects, 0, end - 1).await;
    assert!(matches!(long, Err(CatalogError::Coverage { .. })));
    let twice = [index_objects[0], index_objects[0], index_objects[1]];
    let twice = fresh(&world).ranges(partition(0), Some(name), &twice, 0, end).await;
    assert!(matches!(twice, Err(CatalogError::Coverage { .. })));
}

#[tokio::test]
async fn a_partition_of_which_nothing_was_flushed_is_empty() {
    let world = World::new();
    let log = world.catalog.ranges(partition(5), None, &[], 0, 0).await.unwrap();
    assert_eq!((log.ranges(), log.bytes(), log.checkpoint().len()), (&[][..], 0, 0));
    // Its group has a manifest, which need not be there to be read for it.
    let gone = world.attempt(1).fresh_name(ObjectKind::Manifest);
    let log = world.catalog.ranges(partition(6), Some(gone), &[], 0, 0).await.unwrap();
    assert_eq!((log.end(), log.ranges().len()), (0, 0));
}

#[tokio::test]
async fn what_is_gone_says_that_the_caller_is_stale() {
    let world = World::new();
    let round = flushed(&world, &batches(0, &[10])).await;
    let (index, catalog) = (round.index_object, fresh(&World::new()));
    let stale = catalog.ranges(partition(0), None, &[index], 0, 1).await;
    assert!(matches!(stale, Err(CatalogError::Stale(name)) if name == index));
    let none = world.catalog.ranges(partition(9), None, &[index], 0, 1).await;
    assert!(matches!(none, Err(CatalogError::NoSuchPart { .. })));
    let other = world.catalog.manifest(index).await;
    assert!(matches!(other, Err(CatalogError::Malformed { .. })));
}

#[tokio::test]
async fn many_who_ask_read_once_and_an_error_is_not_kept() {
    let world = World::new();
    let index = flushed(&world, &batches(0, &[10])).await.index_object;
    world.store.take_gets();
    let catalog = fresh(&world);
    let asked = futures::future::join_all((0..20).map(|_| catalog.index_object(index))).await;
    assert!(asked.into_iter().all(|found| found.is_ok()));
    assert_eq!(world.store.take_gets(), 1);

    let catalog = fresh(&world);
    world.store.harm(Harm::Fail, 1);
    assert!(matches!(catalog.index_object(index).await, Err(CatalogError::Store { .. })));
    world.store.harm(Harm::Flip(30), 1);
    assert!(catalog.index_object(index).await.is_ok(), "damage on its way heals");
    let catalog = fresh(&world);
    world.store.harm(Harm::Flip(30), 2);
    assert!(matches!(catalog.index_object(index).await, Err(CatalogError::Malformed { .. })));
    world.store.harm(Harm::Cut, 2);
    assert!(matches!(catalog.index_object(index).await, Err(CatalogError::Malformed { .. })));
    assert!(catalog.index_object(index).await.is_ok());
}

#[tokio::test]
async fn what_was_found_out_is_kept() {
    let world = World::new();
    let index = flushed(&world, &batches(0, &[10])).await.index_object;
    let one = world.catalog.ranges(partition(0), None, &[index], 0, 1).await.unwrap();
    let two = world.catalog.ranges(partition(0), None, &[index], 0, 1).await.unwrap();
    assert!(Arc::ptr_eq(&one, &two));
    let other = world.catalog.ranges(partition(0), None, &[index], 1, 1).await.unwrap();
    assert!(other.ranges().is_empty());
}
