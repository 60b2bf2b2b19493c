//! Promises that are broken on purpose, to see that it is noticed: the store lies, or the brokers break a law.

use std::time::Duration;

use odradek_broker::broken::Law;
use odradek_common::random::SharedRandom;
use odradek_storage::store::sim::{Lie, SimStore};

use crate::node;

/// A promise to break on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Broken {
    /// The store forgets slots that it acknowledged.
    SlotsForgotten,
    /// A slot is acknowledged before it has landed.
    SlotsHurried,
    /// A takeover does not seal what it reads.
    SealsForgotten,
    /// A batch is acknowledged when it is appended, not when its slot has landed.
    AcknowledgedAtOnce,
    /// A handover does not wait for the slots in flight: the new owner begins at a lower end than the old one
    /// froze at.
    HandedOverInFlight,
    /// A takeover goes by the metadata, and neither seals nor reads the chain.
    TakenOverUnread,
}

/// Of so many slots one is forgotten, where they are.
const ONE_IN: u64 = 20;

/// A slot that is acknowledged before it has landed lands so much later, at most.
const LATER_MS: u64 = 2_000;

impl Broken {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::SlotsForgotten,
        Self::SlotsHurried,
        Self::SealsForgotten,
        Self::AcknowledgedAtOnce,
        Self::HandedOverInFlight,
        Self::TakenOverUnread,
    ];

    /// How violations begin by which it is noticed.
    pub fn symptoms(self) -> &'static [&'static str] {
        match self {
            // What was in flight is missing at the new owner, or lands beside what that writes there.
            Self::HandedOverInFlight => &["two contents: ", "code 45 for "],
            _ => &["lost: "],
        }
    }

    /// The law that the brokers break.
    pub fn law(self) -> Option<Law> {
        match self {
            Self::SlotsForgotten | Self::SlotsHurried | Self::SealsForgotten => None,
            Self::AcknowledgedAtOnce => Some(Law::DurableFirst),
            Self::HandedOverInFlight => Some(Law::LandedFirst),
            Self::TakenOverUnread => Some(Law::SealedFirst),
        }
    }

    /// Makes the store lie, where it is the store that breaks a promise.
    pub fn breaks(self, store: &SimStore, random: SharedRandom) {
        store.lie_about(move |host, key| {
            let (_, slot) = key.as_ref().split_once("/wal/")?;
            let (owner, _) = slot.split_once('/')?;
            let is_owner = host == node::name(owner.parse().ok()?);
            let is_drawn = || random.next_u64().is_multiple_of(ONE_IN);
            match self {
                Self::SlotsForgotten => (is_owner && is_drawn()).then_some(Lie::Forgets),
                Self::SlotsHurried if is_owner => {
                    let later_ms = random.next_u64() % LATER_MS;
                    Some(Lie::Hurries(Duration::from_millis(later_ms)))
                }
                Self::SlotsHurried => None,
                Self::SealsForgotten => (!is_owner).then_some(Lie::Forgets),
                _ => None,
            }
        });
    }
}
