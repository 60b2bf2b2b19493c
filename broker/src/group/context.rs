//! What the handlers of a group share: the kept state, the timers, and what a step wants done.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use odradek_common::limits;

use super::calls::Answer;
use super::gauges::ShardGauges;
use super::records::{GroupRecord, OffsetRecord, RecordKey, TooLong};
use super::settings::GroupSettings;
use super::store::Store;
use crate::coordinator::{CoordinatorRecord, Effects, Now, Timers, Token, When};

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TimerKey {
    /// A member (or an id given out) of a group has been silent for too long.
    Session(Arc<str>, Arc<str>),
    /// The members of a group have had time enough to join.
    Join(Arc<str>),
    /// The members of a group have had time enough to fetch their assignments.
    Sync(Arc<str>),
    /// Offsets are looked through for expired ones.
    Expiry,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) settings: Arc<GroupSettings>,
    pub(super) gauges: Arc<ShardGauges>,
    pub(super) store: Store,
    pub(super) timers: Timers<TimerKey>,
    pub(super) now: Now,
    effects: Effects<Answer>,
}

impl Context {
    pub(super) fn new(settings: Arc<GroupSettings>, gauges: Arc<ShardGauges>) -> Self {
        Self {
            settings,
            gauges,
            store: Store::default(),
            timers: Timers::default(),
            now: Now { mono_ms: 0, wall_ms: 0 },
            effects: Effects::default(),
        }
    }

    pub(super) fn take_effects(&mut self) -> Effects<Answer> {
        self.gauges.set_live_bytes(self.store.memory_bytes());
        std::mem::take(&mut self.effects)
    }

    /// Answers once everything appended so far is durable.
    pub(super) fn answer(&mut self, token: Token, answer: Answer) {
        self.effects.answers.push((token, answer, When::Durable));
    }

    /// Answers at once, with what promises nothing that a crash could take back.
    pub(super) fn answer_now(&mut self, token: Token, answer: Answer) {
        self.effects.answers.push((token, answer, When::Now));
    }

    /// Answers a read.
    pub(super) fn answer_confirmed(&mut self, token: Token, answer: Answer) {
        self.effects.answers.push((token, answer, When::Confirmed));
    }

    pub(super) fn answer_join_error(&mut self, token: Token, member: &str, error: ResponseError) {
        self.answer(token, Answer::join_error(member, error));
    }

    /// Whether the live records have outgrown their limit.
    pub(super) fn is_full(&self) -> bool {
        self.gauges.is_full(self.store.memory_bytes() as u64)
    }

    /// Whether the live groups take as much memory as they may; then there are no more members.
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.gauges.is_out_of_memory()
    }

    /// The session of a member begins anew.
    pub(super) fn schedule_session(
        &mut self,
        group: &Arc<str>,
        member: &Arc<str>,
        timeout_ms: u64,
    ) {
        let key = TimerKey::Session(Arc::clone(group), Arc::clone(member));
        self.timers.schedule(key, self.now.mono_ms.saturating_add(timeout_ms));
    }

    pub(super) fn cancel_session(&mut self, group: &Arc<str>, member: &Arc<str>) {
        self.timers.cancel(&TimerKey::Session(Arc::clone(group), Arc::clone(member)));
    }

    pub(super) fn schedule_after(&mut self, key: TimerKey, delay_ms: u64) {
        self.timers.schedule(key, self.now.mono_ms.saturating_add(delay_ms));
    }

    /// Writes a group.
    pub(super) fn write_group(
        &mut self,
        id: &Arc<str>,
        record: &GroupRecord,
    ) -> Result<(), TooLong> {
        let key = RecordKey::encode_group(id)?;
        let value = record.encode()?;
        let grows = self.store.group(id).is_none_or(|before| before.len() < value.len());
        if value.len() > limits::GROUP_RECORD_BYTES || (grows && self.is_full()) {
            return Err(TooLong("the group"));
        }
        self.store.put_group(id, value.clone());
        self.effects.records.push(CoordinatorRecord { key, value: Some(value) });
        Ok(())
    }

    /// Writes that a group is gone.
    pub(super) fn delete_group(&mut self, id: &Arc<str>) -> Result<(), TooLong> {
        let key = RecordKey::encode_group(id)?;
        self.store.remove_group(id);
        self.effects.records.push(CoordinatorRecord { key, value: None });
        Ok(())
    }

    /// Writes an offset.
    pub(super) fn write_offset(
        &mut self,
        group: &Arc<str>,
        topic: &Arc<str>,
        partition: i32,
        offset: OffsetRecord,
    ) -> Result<(), TooLong> {
        let offset = offset.storable();
        let key = RecordKey::encode_offset(group, topic, partition)?;
        let value = offset.encode()?;
        self.store.put_offset(group, topic, partition, offset);
        self.effects.records.push(CoordinatorRecord { key, value: Some(value) });
        Ok(())
    }

    /// Writes that an offset is gone.
    pub(super) fn delete_offset(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<(), TooLong> {
        let key = RecordKey::encode_offset(group, topic, partition)?;
        self.store.remove_offset(group, topic, partition);
        self.effects.records.push(CoordinatorRecord { key, value: None });
        Ok(())
    }
}

/// A time-out of a request as a delay: what is negative is none.
pub(super) fn delay_ms(timeout_ms: i32) -> u64 {
    u64::try_from(timeout_ms).unwrap_or(0)
}
