//! The state machine: pure, synchronous, without clock, randomness or I/O. Every node that applies
//! the same commands at the same indexes holds the same image.
//!
//! A command works on a copy of the image, which costs next to nothing, and the copy is kept only
//! if the command was accepted: so a refused command cannot leave a trace.

mod brokers;
mod configs;
mod flush;
mod hand_over;
mod merge;
mod names;
mod partitions;
mod pass_on;
mod take_over;
mod targets;
mod topics;

#[cfg(test)]
pub(crate) mod tests;

use crate::command::Command;
use crate::ids::Incarnation;
use crate::image::{Image, Registration};
use crate::outcome::{Outcome, Refusal};

/// What a command comes to.
pub(crate) type Judged = Result<Outcome, Refusal>;

impl Image {
    /// Applies the commands of the entry at `index`, one after the other.
    pub(crate) fn apply_entry(&mut self, index: u64, commands: &[Command]) -> Vec<Judged> {
        debug_assert!(index > self.applied || index == 0, "entries are applied in order, once");
        let outcomes = commands.iter().map(|command| self.apply(index, command)).collect();
        self.applied = index;
        outcomes
    }

    /// Applies one command of the entry at `index`, or refuses it without a trace.
    fn apply(&mut self, index: u64, command: &Command) -> Judged {
        let mut next = self.clone();
        let outcome = next.perform(index, command)?;
        *self = next;
        Ok(outcome)
    }

    fn perform(&mut self, index: u64, command: &Command) -> Judged {
        if self.cluster.is_none() && !matches!(command, Command::Form(_)) {
            return Err(Refusal::NotFormed);
        }
        match command {
            Command::Form(form) => self.form(form),
            Command::RegisterBroker(broker) => self.register_broker(index, broker),
            Command::FenceBroker(of) => self.fence_broker(index, *of),
            Command::SetDraining(set) => self.set_draining(*set),
            Command::UnregisterBroker(broker) => self.unregister_broker(*broker),
            Command::Trim(trim) => self.trim(trim),
            Command::MarkRecovered(of) => self.mark_recovered(*of),
            Command::CreateTopic(topic) => self.create_topic(topic),
            Command::CreatePartitions(partitions) => self.create_partitions(partitions),
            Command::DeleteTopic(topic) => self.delete_topic(*topic),
            Command::ReleasePartitions(release) => self.release_partitions(release),
            Command::AlterTopicConfig(alter) => self.alter_topic_config(alter),
            Command::AlterBrokerConfig(alter) => self.alter_broker_config(alter),
            Command::AllocateProducerIds(allocate) => self.allocate_producer_ids(allocate),
            Command::CommitFlush(flush) => self.commit_flush(index, flush),
            Command::TakeOver(take_over) => self.take_over(index, take_over),
            Command::HandOver(hand_over) => self.hand_over(index, hand_over),
            Command::SetTargets(set) => self.set_targets(set),
            Command::AlterReplicas(alter) => self.alter_replicas(alter),
            Command::Merge(merge) => self.merge(index, merge),
            Command::SetLogStart(set) => self.set_log_start(set),
            Command::SetHorizon(horizon) => self.set_horizon(index, *horizon),
        }
    }

    /// Law 4.4, without exception: nothing born below the horizon is committed. A mark that nobody
    /// can have seen applied would escape every later horizon.
    fn check_mark(&self, index: u64, mark: u64) -> Result<(), Refusal> {
        if mark < self.horizon {
            return Err(Refusal::BelowHorizon { mark, horizon: self.horizon });
        }
        check_applied(index, mark)
    }

    /// The registration of an incarnation that may still commit.
    fn live(&self, of: Incarnation) -> Result<&Registration, Refusal> {
        let registration = self.known(of)?;
        if registration.is_live() { Ok(registration) } else { Err(Refusal::Fenced(of)) }
    }

    fn known(&self, of: Incarnation) -> Result<&Registration, Refusal> {
        self.registration(of).ok_or(Refusal::UnknownIncarnation(of))
    }
}

/// The entry at `index` was proposed when at most those before it were applied.
fn check_applied(index: u64, seen: u64) -> Result<(), Refusal> {
    if seen < index { Ok(()) } else { Err(Refusal::AheadOfLog { index: seen, at: index }) }
}

/// Refuses more than `limit` of `what`.
fn check_limit(what: &'static str, count: usize, limit: usize) -> Result<(), Refusal> {
    let too_much = || Refusal::TooMuch { what, limit: u64::try_from(limit).unwrap_or(u64::MAX) };
    if count <= limit { Ok(()) } else { Err(too_much()) }
}

/// Refuses an object's name that is empty or too long.
fn check_object_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::Empty("an object's name"));
    }
    check_limit("bytes of an object's name", name.len(), odradek_common::limits::OBJECT_NAME_BYTES)
}
