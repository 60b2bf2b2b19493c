//! Raising log starts: by retention and by DeleteRecords. Committed first, believed then.

use kafka_protocol::ResponseError;
use odradek_metadata::{Command, LogStart, Outcome, PartitionRefusal, SetLogStart};
use tracing::warn;

use crate::background::flush;
use crate::core::Core;
use crate::partition::PartitionLog;

/// Raises the log start to `offset`, which is at most the high watermark; the log start then. The
/// metadata knows records up to the flushed end only, so what lies below `offset` is flushed first.
///
/// # Errors
/// `NotLeaderOrFollower` if the partition left meanwhile, `KafkaStorageError` if it could not be
/// flushed or committed now.
pub async fn raise(core: &Core, log: &PartitionLog, offset: i64) -> Result<i64, ResponseError> {
    if offset <= log.offsets().log_start {
        return Ok(log.offsets().log_start);
    }
    if offset > log.offsets().flushed_end {
        match flush::now(core).await {
            Ok(left_out) if !left_out.contains(&log.id) => {}
            _ => return Err(ResponseError::KafkaStorageError),
        }
    }
    let item = LogStart { partition: log.id, leader_epoch: log.leader_epoch, log_start: offset };
    let command = Command::SetLogStart(SetLogStart { by: core.me, items: vec![item] });
    let refused = match core.propose(command).await {
        Ok(Outcome::LogStartSet(results)) => results.into_iter().find_map(Result::err),
        Ok(_) => None,
        Err(error) => {
            warn!(topic = %log.topic, partition = log.id.partition, %error, "log start not raised");
            return Err(ResponseError::KafkaStorageError);
        }
    };
    match refused {
        None => {
            log.set_log_start(offset);
            Ok(offset)
        }
        // Another request raised it further meanwhile.
        Some(PartitionRefusal::LogStartNotRaised { log_start }) => {
            log.set_log_start(log_start);
            Ok(log_start)
        }
        Some(refusal) => {
            warn!(topic = %log.topic, partition = log.id.partition, %refusal, "log start not raised");
            Err(ResponseError::NotLeaderOrFollower)
        }
    }
}
