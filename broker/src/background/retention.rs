//! Retention: log starts rise past ranges that are too old or too much. Whole ranges go, as Kafka
//! deletes whole segments.

use std::sync::Arc;

use odradek_storage::range::Range;
use tracing::{info, warn};

use crate::core::Core;
use crate::metric_names;
use crate::partition::PartitionLog;
use crate::topics::LiveTopics;
use crate::{log_start, reading};

/// Applies retention every `log.retention.check.interval.ms`.
pub async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(core.settings().log_defaults.retention_check_interval).await;
        once(&core).await;
    }
}

/// Applies retention to every log once.
pub async fn once(core: &Core) {
    for log in core.logs.all() {
        let image = core.image();
        let Some(topic) = image.live_topic(log.id.topic) else { continue };
        let config = core.topic_config(&topic.configs);
        if !config.delete {
            continue;
        }
        let rule =
            Rule { retention_ms: config.retention_ms, retention_bytes: config.retention_bytes };
        if let Err(error) = apply(core, &log, rule).await {
            warn!(topic = %log.topic, partition = log.id.partition, %error, "retention is put off");
        }
    }
}

async fn apply(core: &Core, log: &PartitionLog, rule: Rule) -> Result<(), String> {
    let ranges = reading::durable_ranges(core, log).await.map_err(|e| e.to_string())?;
    let flushed = log.offsets().flushed_end;
    // What was not flushed is young, and goes at its next turn.
    let keep = rule.log_start(ranges.ranges(), flushed, core.clock.now_ms());
    let Some(offset) = keep.filter(|offset| *offset > log.offsets().log_start) else {
        return Ok(());
    };
    log_start::raise(core, log, offset).await.map_err(|code| code.to_string())?;
    metrics::counter!(metric_names::RETENTION_ADVANCED).increment(1);
    info!(topic = %log.topic, partition = log.id.partition, log_start = offset, "retention");
    Ok(())
}

/// `retention.ms` and `retention.bytes`, `None` for no bound.
#[derive(Clone, Copy, Debug)]
struct Rule {
    retention_ms: Option<i64>,
    retention_bytes: Option<u64>,
}

impl Rule {
    /// The offset behind the ranges, of those that end below `flushed`, that are to go; `None` if
    /// none is.
    fn log_start(&self, ranges: &[Range], flushed: i64, now_ms: i64) -> Option<i64> {
        let mut bytes: u64 = ranges.iter().map(|r| r.length).sum();
        let mut start = None;
        let dated = ranges.iter().zip(newest_or_next(ranges));
        for (range, newest) in dated.take_while(|(r, _)| r.next_offset <= flushed) {
            let age_ms = newest.map(|newest| now_ms.saturating_sub(newest));
            let too_old = age_ms.zip(self.retention_ms).is_some_and(|(age, most)| age > most);
            // As Kafka: a range goes only if what stays is still at least the bound.
            let too_much =
                self.retention_bytes.is_some_and(|most| bytes.saturating_sub(range.length) >= most);
            if !too_old && !too_much {
                break;
            }
            bytes -= range.length;
            start = Some(range.next_offset);
        }
        start
    }
}

/// The newest timestamp of each range. Records without a timestamp are as old as what comes next and
/// has one: they were appended before it. `None` if nothing does.
fn newest_or_next(ranges: &[Range]) -> Vec<Option<i64>> {
    let mut next = None;
    let mut newest: Vec<_> = (ranges.iter().rev())
        .map(|range| {
            next = Some(range.max_timestamp).filter(|newest| *newest >= 0).or(next);
            next
        })
        .collect();
    newest.reverse();
    newest
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::{BrokerEpoch, BrokerId, ChainId, LeaderEpoch, SlotNumber};
    use odradek_storage::names::ChainRef;
    use odradek_storage::range::Place;

    use super::*;

    fn ranges() -> Vec<Range> {
        let chain = ChainRef { broker: BrokerId(1), epoch: BrokerEpoch(2), chain: ChainId(0) };
        let range = |i: i64| Range {
            base_offset: i * 10,
            next_offset: (i + 1) * 10,
            leader_epoch: LeaderEpoch(0),
            max_timestamp: i * 1000,
            place: Place::Slot(chain.slot(SlotNumber(0))),
            position: 0,
            length: 100,
            crc: 0,
            index: (0, 0),
        };
        (0..4).map(range).collect()
    }

    #[test]
    fn the_old_and_the_too_much_go() {
        let start = |retention_ms, retention_bytes, flushed, now| {
            Rule { retention_ms, retention_bytes }.log_start(&ranges(), flushed, now)
        };
        assert_eq!(start(None, None, 40, i64::MAX), None);
        assert_eq!(start(Some(1000), None, 40, 2001), Some(20));
        assert_eq!(start(Some(1000), None, 40, 1000), None);
        assert_eq!(start(None, Some(200), 40, 0), Some(20));
        assert_eq!(start(None, Some(201), 40, 0), Some(10), "what stays is at least the bound");
        assert_eq!(start(Some(0), None, 20, 10_000), Some(20), "only what was flushed");
        let mut ageless = ranges();
        ageless[0].max_timestamp = -1;
        let rule = Rule { retention_ms: Some(0), retention_bytes: None };
        assert_eq!(rule.log_start(&ageless, 40, 1_500), Some(20), "it is as old as the next");
        assert_eq!(rule.log_start(&ageless, 40, 1_000), None);
        ageless[3].max_timestamp = -1;
        assert_eq!(
            rule.log_start(&ageless, 40, i64::MAX),
            Some(30),
            "nothing behind it has an age"
        );
    }
}
