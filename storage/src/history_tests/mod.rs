//! Random histories of appends, flushes, takeovers, merges, retention, deletion and collection, in
//! any order and with a grace of zero. Commands may come late or never. After each step all that
//! the metadata, and the bucket's older copy of it, say is there must read back exactly; at the
//! end one merge and one collection leave nothing but what is needed.

mod check;
mod history;
mod metadata;

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use odradek_common::files::RealFiles;
use odradek_common::random::SeededRandom;
use proptest::prelude::*;

use history::History;
use metadata::PARTITIONS;

use crate::store::file::FileStore;
use crate::store::{RetryOptions, Store};

/// A step of a history. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// A slot with batches of these sizes, by partition.
    Append(Vec<(i32, Vec<usize>)>),
    /// A flush of the partitions whose bits are set, from memory or from slots.
    Flush {
        partitions: u8,
        from_slots: bool,
    },
    /// Commits of a finished round those claims whose bits are set; the round stays around.
    CommitRound {
        round: usize,
        claims: u8,
    },
    /// A new broker epoch takes over all that was not flushed.
    TakeOver,
    /// A merge of a group, written but not committed.
    Merge(u64),
    /// Commits a finished merge, perhaps again.
    CommitMerge(usize),
    Trim,
    RaiseLogStart {
        partition: i32,
        by: i64,
    },
    Delete(i32),
    /// The bucket's copy catches up.
    Publish,
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![6 => 0usize..300, 1 => 40_000usize..80_000];
    let block = (0..PARTITIONS, proptest::collection::vec(size, 1..4));
    prop_oneof![
        6 => proptest::collection::vec(block, 1..4).prop_map(Step::Append),
        4 => (any::<u8>(), any::<bool>())
            .prop_map(|(partitions, from_slots)| Step::Flush { partitions, from_slots }),
        6 => (any::<usize>(), any::<u8>())
            .prop_map(|(round, claims)| Step::CommitRound { round, claims }),
        1 => Just(Step::TakeOver),
        3 => any::<u64>().prop_map(Step::Merge),
        3 => any::<usize>().prop_map(Step::CommitMerge),
        2 => Just(Step::Trim),
        1 => (0..PARTITIONS, 1i64..20)
            .prop_map(|(partition, by)| Step::RaiseLogStart { partition, by }),
        1 => (0..PARTITIONS * 3).prop_map(|number| match number {
            number if number < PARTITIONS => Step::Delete(number),
            _ => Step::Publish,
        }),
        2 => Just(Step::Publish),
        3 => Just(Step::Collect),
    ]
}

async fn run(store: Arc<dyn ObjectStore>, steps: &[Step], reads: &[(i32, i64, usize)]) {
    let mut history = History::new(store);
    for step in steps {
        history.step(step).await;
        let (metadata, copy) = (&history.metadata, &history.copy);
        history.check(metadata).await;
        history.check(copy).await;
    }
    for (number, offset, max_bytes) in reads {
        history.check_read(*number, *offset, *max_bytes).await;
    }
    history.settle().await;
    history.check(&history.metadata).await;
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..60)
}

fn reads() -> impl Strategy<Value = Vec<(i32, i64, usize)>> {
    proptest::collection::vec((0..PARTITIONS, 0i64..10_000, 0usize..100_000), 6)
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_what_is_needed_and_nothing_else(steps in steps(), reads in reads()) {
        block_on(run(Arc::new(InMemory::new()), &steps, &reads));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// With everything between a broker and its bucket.
    #[test]
    fn so_it_is_in_a_directory(steps in steps(), reads in reads()) {
        let directory = tempfile::tempdir().unwrap();
        let files = FileStore::open(Arc::new(RealFiles), directory.path()).unwrap();
        let random = Arc::new(SeededRandom::from_seed(3));
        let (prefix, options) = (Path::default(), RetryOptions::default());
        let store = Store::over(Arc::new(files), prefix, String::new(), options, random);
        block_on(run(store.retrying(), &steps, &reads));
    }
}
