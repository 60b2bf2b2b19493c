use bytes::Bytes;
use object_store::{ObjectStoreExt, PutPayload};
use odradek_common::ids::{
    BrokerEpoch, BrokerId, GroupId, LeaderEpoch, SlotNumber, TopicPartition,
};

use super::*;
use crate::flush::{self, FlushedRound, SlotPart};
use crate::names::ChainRef;
use crate::testkit::{CHAIN, World, batches, part, partition};

/// Objects of three bytes are seals.
#[derive(Debug)]
struct ThreeBytes;

#[async_trait]
impl SealCheck for ThreeBytes {
    async fn is_seal(
        &self,
        at: SlotRef,
        size: u64,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        if at.slot == SlotNumber(66) { Err("told to fail".into()) } else { Ok(size == 3) }
    }
}

fn collector(world: &World, grace: Duration) -> Collector {
    let store = Arc::new(world.store.clone());
    let (names, catalog) = (world.names.clone(), world.catalog.clone());
    Collector::new(store, names, catalog, Arc::new(ThreeBytes), grace)
}

async fn flush_at(world: &World, mark: u64, partitions: &[i32]) -> FlushedRound {
    let parts = partitions.iter().map(|number| part(*number, &batches(0, &[10, 20])));
    flush::write(&world.attempt(mark), parts.collect()).await.unwrap().rounds.remove(0)
}

fn accepted(round: &FlushedRound) -> (ObjectName, Vec<TopicPartition>) {
    (round.index_object, round.parts.iter().map(|part| part.partition).collect())
}

async fn put_slot(world: &World, chain: ChainRef, slot: u64, bytes: &'static [u8]) {
    let path = world.names.slot(chain.slot(SlotNumber(slot)));
    world.store.put(&path, PutPayload::from_static(bytes)).await.unwrap();
}

fn chain(trim_point: u64, recovered: bool) -> ChainState {
    ChainState { trim_point: SlotNumber(trim_point), recovered }
}

#[tokio::test]
async fn only_what_is_old_and_not_referred_to_goes() {
    let world = World::new();
    let live = flush_at(&world, 3, &[0]).await;
    flush_at(&world, 3, &[1]).await;
    let young = flush_at(&world, 10, &[2]).await;
    let roots = Roots { horizon: 10, index_objects: vec![accepted(&live)], ..Roots::default() };
    let mut collector = collector(&world, Duration::ZERO);
    let collected = collector.collect(&roots).await.unwrap();
    assert_eq!((collected.listed, collected.objects_deleted), (6, 2));
    assert!(collected.bytes_deleted > 0);
    let left = world.store.names().await;
    assert_eq!(left.len(), 4);
    assert!(left.contains(&world.path(&live.index_object)));
    assert!(left.contains(&world.path(&young.index_object)), "born at the horizon");
    // Its command was refused, so that the young one goes when the horizon passes it.
    let roots = Roots { horizon: 11, ..roots };
    assert_eq!(collector.collect(&roots).await.unwrap().objects_deleted, 2);
    assert_eq!(collector.collect(&roots).await.unwrap().objects_deleted, 0);
}

#[tokio::test]
async fn a_segment_of_what_was_refused_goes_and_of_what_was_accepted_stays() {
    let world = World::new();
    let parts = [(0, 1), (1, 2)].map(|(number, group)| flush::FlushPart {
        group: GroupId(group),
        ..part(number, &batches(0, &[10]))
    });
    // Two groups, so two segments.
    let round = flush::write(&world.attempt(1), parts.to_vec()).await.unwrap().rounds.remove(0);
    let index_objects = vec![(round.index_object, vec![partition(1)])];
    let roots = Roots { horizon: 2, index_objects, ..Roots::default() };
    let collected = collector(&world, Duration::ZERO).collect(&roots).await.unwrap();
    assert_eq!((collected.listed, collected.objects_deleted), (3, 1));
    let names = [round.index_object];
    let ranges = world.catalog.ranges(partition(1), None, &names, 0, 1).await.unwrap();
    assert!(world.reader(1 << 20).read(&ranges, 0, 1000, true).await.is_ok());
}

#[tokio::test]
async fn nothing_goes_while_something_referred_to_cannot_be_read() {
    let world = World::new();
    flush_at(&world, 1, &[0]).await;
    let gone = World::new().attempt(1).fresh_name(ObjectKind::Manifest);
    let roots = Roots { horizon: 9, manifests: vec![gone], ..Roots::default() };
    let collected = collector(&world, Duration::ZERO).collect(&roots).await;
    assert!(
        matches!(collected, Err(CollectError::Catalog(CatalogError::Stale(name))) if name == gone)
    );
    assert_eq!(world.store.names().await.len(), 2);
}

#[tokio::test]
async fn slots_go_by_trim_point_recovery_and_reference() {
    let world = World::new();
    let recovered = ChainRef { epoch: BrokerEpoch(0), ..CHAIN };
    // A broker that is unregistered, and two that registered after this copy of the metadata.
    let unregistered = ChainRef { broker: BrokerId(8), epoch: BrokerEpoch(6), ..CHAIN };
    let to_come = ChainRef { epoch: BrokerEpoch(7), ..CHAIN };
    let another_to_come = ChainRef { broker: BrokerId(9), ..to_come };
    for slot in 0..4 {
        for chain in [CHAIN, recovered, unregistered, to_come, another_to_come] {
            put_slot(&world, chain, slot, b"slot").await;
        }
    }
    put_slot(&world, unregistered, 4, b"sea").await;
    put_slot(&world, CHAIN, 1, b"sea").await;
    put_slot(&world, recovered, 66, b"slot").await;
    put_slot(&world, recovered, 9, b"sea").await;
    // A takeover's list refers to slot 2 of the recovered epoch.
    let mut range = world.slots.put(CHAIN.slot(SlotNumber(2)), &[batches(0, &[10])])[0];
    range.place = crate::range::Place::Slot(recovered.slot(SlotNumber(2)));
    let part = SlotPart {
        partition: partition(0),
        group: GroupId(1),
        leader_epoch: LeaderEpoch(1),
        ranges: vec![range],
        checkpoint: Bytes::new(),
    };
    let round = flush::index_slots(&world.attempt(1), vec![part]).await.unwrap().remove(0);
    // The recovered epochs are forgotten: that this copy is newer says enough.
    let chains = HashMap::from([(CHAIN, chain(3, false))]);
    let index_objects = vec![accepted(&round)];
    let roots = Roots { applied: 6, horizon: 2, index_objects, chains, ..Roots::default() };
    let mut collector = collector(&world, Duration::ZERO);
    let collected = collector.collect(&roots).await.unwrap();
    // Of the chain 0 and 2; 1 is a seal, 3 is at the trim point. Of the recovered 0, 1 and 3, and of
    // the unregistered all four.
    assert_eq!((collected.slots_deleted, collected.seals, collected.failed), (9, 3, 1));
    let left = world.store.names().await;
    let expected: [(_, &[u64]); 5] = [
        (CHAIN, &[1, 3]),
        (recovered, &[2, 9, 66]),
        (unregistered, &[4]),
        (to_come, &[0, 1, 2, 3]),
        (another_to_come, &[0, 1, 2, 3]),
    ];
    for (chain, slots) in expected {
        let folder = world.names.chain(chain).to_string();
        let there: Vec<&String> = left.iter().filter(|name| name.starts_with(&folder)).collect();
        assert_eq!(there.len(), slots.len(), "{there:?}");
        for slot in slots {
            let path = world.names.slot(chain.slot(SlotNumber(*slot))).to_string();
            assert!(left.contains(&path), "{path}");
        }
    }
    let collected = collector.collect(&roots).await.unwrap();
    assert_eq!((collected.slots_deleted, collected.seals), (0, 3), "seals stay for ever");
}

#[tokio::test(start_paused = true)]
async fn grace_begins_when_the_last_reference_goes() {
    let world = World::new();
    let round = flush_at(&world, 1, &[0]).await;
    let mut collector = collector(&world, Duration::from_secs(60));
    let referred = Roots { horizon: 5, index_objects: vec![accepted(&round)], ..Roots::default() };
    let dropped = Roots { horizon: 5, ..Roots::default() };
    for _ in 0..3 {
        assert_eq!(collector.collect(&referred).await.unwrap().in_grace, 0);
        tokio::time::advance(Duration::from_secs(100)).await;
    }
    assert_eq!(collector.collect(&dropped).await.unwrap().in_grace, 2);
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(collector.collect(&dropped).await.unwrap().in_grace, 2);
    tokio::time::advance(Duration::from_secs(1)).await;
    let collected = collector.collect(&dropped).await.unwrap();
    assert_eq!((collected.in_grace, collected.objects_deleted), (0, 2));
}

#[tokio::test]
async fn a_deletion_that_fails_stops_nothing_and_is_tried_again() {
    let world = World::new();
    flush_at(&world, 1, &[0]).await;
    flush_at(&world, 2, &[1]).await;
    world.store.refuse_to_delete(Some("seg/00000000000000000001"));
    let roots = Roots { horizon: 9, ..Roots::default() };
    let mut collector = collector(&world, Duration::ZERO);
    let collected = collector.collect(&roots).await.unwrap();
    assert_eq!((collected.objects_deleted, collected.failed), (3, 1));
    world.store.refuse_to_delete(None);
    let collected = collector.collect(&roots).await.unwrap();
    assert_eq!((collected.objects_deleted, collected.failed), (1, 0));
}

#[tokio::test]
async fn what_is_not_ours_stays() {
    let world = World::new();
    for path in
        ["pre/cluster/seg/what", "pre/cluster/wal/1/x/0/1", "pre/other/seg/1", "pre/formation"]
    {
        world.store.put(&path.into(), PutPayload::from_static(b"x")).await.unwrap();
    }
    let roots = Roots { horizon: u64::MAX, ..Roots::default() };
    let collected = collector(&world, Duration::ZERO).collect(&roots).await.unwrap();
    assert_eq!((collected.listed, collected.foreign), (2, 2));
    assert_eq!(world.store.names().await.len(), 4);
}

#[tokio::test]
async fn many_go_in_several_requests() {
    let world = World::new();
    let attempt = world.attempt(1);
    for _ in 0..limits::DELETE_CHUNK_OBJECTS * 2 + 10 {
        let name = attempt.fresh_name(ObjectKind::Segment);
        attempt.create(name, PutPayload::from_static(b"x")).await.unwrap();
    }
    let roots = Roots { horizon: 2, ..Roots::default() };
    let collected = collector(&world, Duration::ZERO).collect(&roots).await.unwrap();
    assert_eq!(collected.objects_deleted, limits::DELETE_CHUNK_OBJECTS as u64 * 2 + 10);
    assert!(world.store.names().await.is_empty());
}
