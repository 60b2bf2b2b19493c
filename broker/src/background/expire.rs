//! Forgets idempotent producers that have been idle for `producer.id.expiration.ms`, and some of the others
//! where all partitions together remember more than `producer.state.max.bytes`.

use std::sync::Arc;

use odradek_common::limits::{PRODUCER_BATCH_BYTES, PRODUCERS_LOOK};
use tracing::warn;

use crate::core::Core;
use crate::partition::PartitionLog;

/// Looks every `producer.id.expiration.check.interval.ms`.
pub async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(core.settings().producers.id_expiration_check_interval).await;
        let (now_ms, expiration_ms) = (core.clock.now_ms(), core.producer_expiration_ms());
        for log in core.logs.all() {
            log.expire_producers(now_ms, expiration_ms);
        }
    }
}

/// Looks every [`PRODUCERS_LOOK`] whether all partitions together remember too much.
pub async fn bound(core: Arc<Core>) {
    let limit = core.settings().producers.state_max_bytes / PRODUCER_BATCH_BYTES;
    let mut was_beyond = false;
    loop {
        tokio::time::sleep(PRODUCERS_LOOK).await;
        let shortened = shorten(&core.logs.all(), limit);
        if shortened > 0 && !was_beyond {
            warn!(
                partitions = shortened,
                "idempotent producers take more than producer.state.max.bytes: the partitions that remember most \
                 forget some; clients that take a new producer id over and over are the usual cause"
            );
        }
        was_beyond = shortened > 0;
    }
}

/// Cuts what `logs` remember to `limit` batches and somewhat less, so that it is not done each time; how many
/// of them had to forget.
fn shorten(logs: &[Arc<PartitionLog>], limit: usize) -> usize {
    let batches: Vec<_> = logs.iter().map(|log| log.producer_batches()).collect();
    if batches.iter().sum::<usize>() <= limit {
        return 0;
    }
    let share = share(batches.clone(), limit - limit / 8);
    let over = logs.iter().zip(batches).filter(|(_, batches)| *batches > share);
    over.map(|(log, _)| log.shorten_producers(share)).count()
}

/// The most that each may keep so that all keep `limit` together, where those that have less leave the rest to
/// the others.
fn share(mut held: Vec<usize>, limit: usize) -> usize {
    held.sort_unstable();
    let mut left = limit;
    for (index, one) in held.iter().enumerate() {
        let share = left / (held.len() - index);
        if *one > share {
            return share;
        }
        left -= one;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_has_little_keeps_it() {
        assert_eq!(share(vec![100, 1, 60, 2], 63), 30);
        assert_eq!(share(vec![10, 10, 10], 10), 3);
        assert_eq!(share(vec![10, 0, 10], 20), usize::MAX);
    }

    proptest! {
        #[test]
        fn all_together_keep_the_limit_and_no_more(
            held in proptest::collection::vec(0..1_000usize, 1..50), limit in 0..20_000usize
        ) {
            let share = share(held.clone(), limit);
            let kept: usize = held.iter().map(|one| share.min(*one)).sum();
            prop_assert!(kept <= limit);
            let all: usize = held.iter().sum();
            prop_assert!(kept + held.len() > limit.min(all), "{kept} of {limit}");
        }
    }
}
