//! Leader epochs as clients ask about them: whether the one they know is in force (KIP-320), where
//! one ended, and where the log parted from what a client has read (KIP-595).

use kafka_protocol::ResponseError;
use odradek_common::ids::LeaderEpoch;
use odradek_protocol::fetch::EpochEnd;

use crate::confirmation::Confirmation;
use crate::core::Core;
use crate::partition::PartitionLog;

/// Compares the leader epoch that a client knows, negative for none, with the one in force.
///
/// # Errors
/// `FencedLeaderEpoch` for an older one, `UnknownLeaderEpoch` for a newer one.
pub fn check_current(log: &PartitionLog, known: i32) -> Result<(), ResponseError> {
    match known {
        _ if known < 0 || known == log.leader_epoch.0 => Ok(()),
        _ if known < log.leader_epoch.0 => Err(ResponseError::FencedLeaderEpoch),
        _ => Err(ResponseError::UnknownLeaderEpoch),
    }
}

/// The newest leader epoch that is not above `asked`, with its end; `None` if `asked` is above all.
///
/// # Errors
/// `NotLeaderOrFollower` if the owner, who alone knows the end of its own epoch, is not confirmed.
pub async fn end_of(
    core: &Core,
    confirmation: &mut Confirmation<'_>,
    log: &PartitionLog,
    asked: i32,
) -> Result<Option<EpochEnd>, ResponseError> {
    if asked == log.leader_epoch.0 {
        confirmation.of(log).await?;
        let end_offset = log.offsets().high_watermark;
        return Ok(Some(EpochEnd { epoch: asked, end_offset }));
    }
    Ok(end_in(&core.leader_epochs(log.id), asked))
}

/// Where the log parted from that of a client that has read up to `offset`, the last of it in
/// `epoch`; `None` if it did not.
///
/// Ends of former epochs are committed and do not move. That the present one ends before `offset`
/// only a confirmed owner may say, as with an offset out of range (law 5.2).
///
/// # Errors
/// `OffsetOutOfRange` for an epoch that is not known or an offset below the log start.
pub async fn parted(
    core: &Core,
    log: &PartitionLog,
    epoch: i32,
    offset: i64,
) -> Result<Option<EpochEnd>, ResponseError> {
    let present = epoch == log.leader_epoch.0;
    if present && offset <= log.offsets().append_end {
        return Ok(None);
    }
    let mut confirmation = Confirmation::new(core);
    if epoch > log.leader_epoch.0 {
        confirmation.of(log).await?;
    }
    let end = end_of(core, &mut confirmation, log, epoch)
        .await?
        .ok_or(ResponseError::OffsetOutOfRange)?;
    if offset < log.offsets().log_start {
        return Err(ResponseError::OffsetOutOfRange);
    }
    Ok((end.epoch < epoch || end.end_offset < offset).then_some(end))
}

/// The newest epoch of `history` (epoch, start offset) that is not above `asked`, with its end,
/// where the next one starts; `None` if none is, and for no epoch.
fn end_in(history: &[(LeaderEpoch, i64)], asked: i32) -> Option<EpochEnd> {
    let next = history.iter().position(|(epoch, _)| asked >= 0 && epoch.0 > asked)?;
    let end_offset = history[next].1;
    // Kafka: older than all that is known ends where the oldest known begins.
    let epoch = next.checked_sub(1).map_or(asked, |last| history[last].0.0);
    Some(EpochEnd { epoch, end_offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let history = [(LeaderEpoch(2), 10), (LeaderEpoch(4), 25), (LeaderEpoch(5), 25)];
        let end = |asked| end_in(&history, asked).map(|end| (end.epoch, end.end_offset));
        assert_eq!(end(1), Some((1, 10)));
        assert_eq!(end(2), Some((2, 25)));
        assert_eq!(end(3), Some((2, 25)));
        assert_eq!(end(4), Some((4, 25)));
        assert_eq!(end(9), None, "an epoch not known yet");
        assert_eq!(end(-1), None, "no epoch");
    }
}
