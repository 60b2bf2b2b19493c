//! What goes with a topic that is deleted.

use odradek_common::files::sim::SimFiles;
use odradek_storage::store::faulty::Outage;

use super::life::Life;
use super::store_faults::{client, object, store};
use super::waiting::{answered, until};
use super::wire::{Failed, Wire};
use super::workload::{TOPIC_ALREADY_EXISTS, commit_offset, delete_topic, fetch_offset, topics};

const REQUEST_TIMED_OUT: i16 = 7;

/// The offsets that groups committed go with the topic, also when its owner ends between the
/// deletion and their removal: a new topic of the name would be read from where the old one was.
#[test]
fn committed_offsets_go_with_a_topic_whose_owner_dies_while_it_is_deleted() {
    let (store, faults) = store(1);
    let files = SimFiles::new();
    let life = Life::start(object(&[]), &files, Some(store.clone()), 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        answered(async || commit_offset(&mut wire, "t", 1_000).await).await;
        assert_eq!(answered(async || fetch_offset(&mut wire, "t").await).await, 1_000);
        // The removal of the offsets has to be written, which nothing can be now.
        faults.outage(Outage::Refused);
        let deleted = delete_topic(&mut wire, "t", 200).await;
        assert!(matches!(deleted, Err(Failed::Code(REQUEST_TIMED_OUT))), "{deleted:?}");
        assert_eq!(topics(&mut wire).await.unwrap().iter().filter(|name| *name == "t").count(), 0);
    });
    life.crash();
    faults.outage(Outage::None);

    let life = Life::start(object(&[]), &files, Some(store), 2).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        until("the name becomes free", async || match wire.create("t", 1).await {
            Ok(()) => true,
            Err(Failed::Code(TOPIC_ALREADY_EXISTS)) => false,
            Err(failed) => panic!("{failed}"),
        })
        .await;
        assert_eq!(answered(async || fetch_offset(&mut wire, "t").await).await, -1);
    });
    life.crash();
}
