//! The cluster, its brokers and their chains.

use std::sync::Arc;

use odradek_common::ids::{BrokerEpoch, BrokerId, SlotNumber};
use odradek_common::limits::{
    BROKER_CHAINS, BROKER_LISTENERS, BROKERS, METADATA_TEXT_BYTES, PRODUCER_ID_BLOCK, VOTERS,
};

use super::{Judged, check_limit};
use crate::command::{AllocateProducerIds, Form, RegisterBroker, SetDraining, Trim, WalKind};
use crate::ids::Incarnation;
use crate::image::{Cluster, Image, Registration};
use crate::outcome::{Outcome, Refusal};

impl Image {
    pub(super) fn form(&mut self, form: &Form) -> Judged {
        check_limit("voters", form.directories.len(), VOTERS)?;
        if form.directories.is_empty() {
            return Err(Refusal::Empty("the list of voters"));
        }
        let wanted = Cluster { id: form.cluster.clone(), directories: form.directories.clone() };
        match &self.cluster {
            Some(formed) if **formed != wanted => {
                Err(Refusal::FormedOtherwise { cluster: formed.id.to_string() })
            }
            _ => {
                self.cluster = Some(Arc::new(wanted));
                Ok(Outcome::Formed)
            }
        }
    }

    /// Law 2.6 and section 1: a new epoch, and in the same entry the end of the former one, so
    /// that two processes with one broker id are never both live. A live one that the command does
    /// not name stays: neither a second process nor a late copy of the command ends it.
    pub(super) fn register_broker(&mut self, index: u64, broker: &RegisterBroker) -> Judged {
        check_registration(broker)?;
        self.check_wal_kind(broker)?;
        let epoch = BrokerEpoch(index);
        if let Some(former) = self.broker(broker.broker) {
            let (live, former) = (former.is_live(), former.incarnation);
            // The epoch is the entry's index, and an entry can hold several commands.
            if former.epoch >= epoch {
                return Err(Refusal::EpochTaken(broker.broker));
            }
            if live && broker.replaces != Some(former.epoch) {
                return Err(Refusal::BrokerIsLive { broker: former.broker, epoch: former.epoch });
            }
            self.replace_former(former, index);
        } else {
            check_limit("brokers", self.brokers().count() + 1, BROKERS)?;
        }
        let incarnation = Incarnation { broker: broker.broker, epoch };
        let chains = usize::try_from(broker.chains).unwrap_or(usize::MAX);
        self.put_registration(Registration {
            incarnation,
            directory: broker.directory,
            rack: broker.rack.clone(),
            listeners: broker.listeners.clone(),
            wal: broker.wal,
            window: broker.window,
            trim_points: vec![SlotNumber(0); chains],
            fenced_at: None,
            recovered: false,
            draining: false,
        });
        Ok(Outcome::Registered { epoch })
    }

    /// The former epoch is fenced; if nothing is left of it, it is forgotten.
    fn replace_former(&mut self, former: Incarnation, index: u64) {
        self.edit_registration(former, |registration| {
            registration.fenced_at.get_or_insert(index);
        });
        if self.is_recovered(former) {
            self.registrations.remove_mut(&former);
        }
    }

    /// A disk WAL has no seal and therefore no fence (section 6).
    fn check_wal_kind(&self, broker: &RegisterBroker) -> Result<(), Refusal> {
        let other = self.registrations().find(|other| {
            other.incarnation.broker != broker.broker
                && !other.recovered
                && (broker.wal == WalKind::Disk || other.wal == WalKind::Disk)
        });
        match other {
            Some(other) => Err(Refusal::DiskWalIsForOne { other: other.incarnation.broker }),
            None => Ok(()),
        }
    }

    pub(super) fn fence_broker(&mut self, index: u64, of: Incarnation) -> Judged {
        self.live(of)?;
        self.edit_registration(of, |registration| registration.fenced_at = Some(index));
        Ok(Outcome::Fenced)
    }

    pub(super) fn set_draining(&mut self, set: SetDraining) -> Judged {
        self.live(set.broker)?;
        self.edit_registration(set.broker, |registration| registration.draining = set.draining);
        Ok(Outcome::DrainingSet)
    }

    /// KIP-631. What is recovered may be forgotten; see [`Image::is_recovered`]. The broker's own
    /// settings go with it.
    pub(super) fn unregister_broker(&mut self, broker: BrokerId) -> Judged {
        let newest = self.broker(broker).ok_or(Refusal::UnknownBroker(broker))?;
        let of = newest.incarnation;
        if newest.is_live() {
            return Err(Refusal::NotFenced(of));
        }
        let is_left = |one: &&Registration| one.incarnation.broker == broker && !one.recovered;
        let left = self.registrations().find(is_left).map(|left| left.incarnation);
        if let Some(left) = left {
            return Err(Refusal::NotRecovered(left));
        }
        self.registrations.remove_mut(&of);
        self.broker_configs.remove_mut(&Some(broker));
        Ok(Outcome::Unregistered)
    }

    /// Refused once fenced: the sealer starts at the trim point that the fence froze.
    pub(super) fn trim(&mut self, trim: &Trim) -> Judged {
        let registration = self.live(trim.by)?;
        let Some(trim_point) = registration.trim_point(trim.chain) else {
            return Err(Refusal::UnknownChain { of: trim.by, chains: registration.chains() });
        };
        if trim.slot <= trim_point {
            return Err(Refusal::TrimNotRaised { trim_point });
        }
        self.edit_registration(trim.by, |registration| {
            let at = usize::try_from(trim.chain.0).unwrap_or(usize::MAX);
            if let Some(point) = registration.trim_points.get_mut(at) {
                *point = trim.slot;
            }
        });
        Ok(Outcome::Trimmed)
    }

    /// Law 3.4. Partitions of topics that are being deleted count as well: what else has to go with
    /// a topic, as the offsets that groups committed, is a live owner's work (law 3.2).
    pub(super) fn mark_recovered(&mut self, of: Incarnation) -> Judged {
        let registration = self.known(of)?;
        if registration.is_live() {
            return Err(Refusal::NotFenced(of));
        }
        if registration.recovered {
            return Err(Refusal::AlreadyRecovered(of));
        }
        let left = self.owned_by(of).count();
        if left > 0 {
            return Err(Refusal::PartitionsLeft { of, count: left });
        }
        if self.broker(of.broker).is_some_and(|newest| newest.incarnation == of) {
            self.edit_registration(of, |registration| registration.recovered = true);
        } else {
            self.registrations.remove_mut(&of);
        }
        Ok(Outcome::Recovered)
    }

    pub(super) fn allocate_producer_ids(&mut self, allocate: &AllocateProducerIds) -> Judged {
        self.live(allocate.by)?;
        if allocate.count == 0 {
            return Err(Refusal::Empty("the block of producer ids"));
        }
        if allocate.count > PRODUCER_ID_BLOCK {
            let limit = u64::from(PRODUCER_ID_BLOCK);
            return Err(Refusal::TooMuch { what: "producer ids of a block", limit });
        }
        let first = self.next_producer_id;
        self.next_producer_id =
            first.checked_add(i64::from(allocate.count)).ok_or(Refusal::ProducerIdsExhausted)?;
        Ok(Outcome::ProducerIds { first, count: allocate.count })
    }

    /// Whether `broker` was ever registered.
    pub(super) fn knows_broker(&self, broker: BrokerId) -> bool {
        self.broker(broker).is_some()
    }

    fn edit_registration(&mut self, of: Incarnation, edit: impl FnOnce(&mut Registration)) {
        if let Some(registration) = self.registration(of) {
            let mut changed = registration.clone();
            edit(&mut changed);
            self.put_registration(changed);
        }
    }

    fn put_registration(&mut self, registration: Registration) {
        self.registrations.insert_mut(registration.incarnation, Arc::new(registration));
    }
}

fn check_registration(broker: &RegisterBroker) -> Result<(), Refusal> {
    if broker.chains == 0 {
        return Err(Refusal::Empty("the number of chains"));
    }
    if broker.window == 0 {
        return Err(Refusal::Empty("the window of slots in flight"));
    }
    if broker.chains > BROKER_CHAINS {
        return Err(Refusal::TooMuch { what: "chains", limit: u64::from(BROKER_CHAINS) });
    }
    check_limit("listeners", broker.listeners.len(), BROKER_LISTENERS)?;
    let texts = broker.listeners.iter().flat_map(|one| [&one.name, &one.host]).chain(&broker.rack);
    for text in texts {
        check_limit("bytes of a name", text.len(), METADATA_TEXT_BYTES)?;
    }
    Ok(())
}
