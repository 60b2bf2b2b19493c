//! A whole run.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use tokio::task::JoinSet;

use super::cluster::Cluster;
use super::consumer;
use super::options::Options;
use super::producer;
use super::recorder::Recorder;
use super::shared::Shared;
use super::stall::Stall;

/// What a run has measured.
#[derive(Debug)]
pub struct Measured {
    /// From when a record was to be sent to its acknowledgement.
    pub produce: Recorder,
    /// From when it was to be sent to when a consumer had it.
    pub end_to_end: Recorder,
    /// Records acknowledged, with those of the warm-up.
    pub acked: u64,
    /// Records read, with those of the warm-up.
    pub read: u64,
    /// Records given up.
    pub failed: u64,
    /// The longest time without an acknowledgement on any partition, from the warm-up on.
    pub stall: Option<Stall>,
    /// Errors by what they say; after each a worker looks for a leader again.
    pub errors: BTreeMap<String, u64>,
}

/// Runs the load.
///
/// # Errors
/// If it cannot begin: no broker, no topic. What happens later is counted.
pub async fn run(options: &Options) -> Result<Measured> {
    options.records_per_s()?;
    let cluster = Arc::new(Cluster::new(options));
    let partitions = cluster.prepare(options.partitions).await?;
    let mut ends = Vec::new();
    for indexes in shares(&partitions, options.consumers) {
        ends.push(consumer::ends(&cluster, options, &indexes).await?);
    }
    let shared = Arc::new(Shared::new(options));
    let options = Arc::new(options.clone());

    let mut reading = JoinSet::new();
    for positions in ends {
        let (shared, options) = (shared.clone(), options.clone());
        reading.spawn(consumer::run(shared, options, cluster.clone(), positions));
    }
    let mut producing = JoinSet::new();
    for number in 0..options.producers {
        let (shared, options) = (shared.clone(), options.clone());
        let cluster = cluster.clone();
        producing.spawn(producer::run(shared, options, cluster, number, partitions.clone()));
    }
    let (mut produce, mut end_to_end) = (shared.recorder(), shared.recorder());
    let mut failed = 0;
    while let Some(produced) = producing.join_next().await {
        let produced = produced??;
        produce.merge(&produced.recorder);
        failed += produced.failed;
    }
    shared.all_produced();
    while let Some(recorder) = reading.join_next().await {
        end_to_end.merge(&recorder?);
    }
    let (acked, read) = shared.counts();
    let (stall, errors) = (shared.longest_stall(), shared.errors());
    Ok(Measured { produce, end_to_end, acked, read, failed, stall, errors })
}

/// The partitions in as many shares as there are workers, or fewer if there are not enough.
fn shares(partitions: &[i32], workers: u32) -> Vec<Vec<i32>> {
    let workers = workers as usize;
    let share = |first| partitions.iter().copied().skip(first).step_by(workers.max(1)).collect();
    (0..workers.min(partitions.len())).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_one_reader() {
        assert_eq!(shares(&[0, 1, 2, 3, 4], 2), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(shares(&[0, 1], 5), [vec![0], vec![1]]);
        assert!(shares(&[0, 1], 0).is_empty());
    }
}
