//! The sessions of brokers, as the quorum's leader measures them (section 9 of the architecture): who has
//! not been heard of for a session, or cannot reach the store while others can, is fenced. A fence that
//! is wrong costs a takeover and no record.
//!
//! Time is the leader's own monotonic clock and is given with each call; nothing here waits.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::Incarnation;

/// What the leader goes by.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// How long a broker may be silent (`broker.session.timeout.ms`).
    pub timeout: Duration,
    /// For how long no slot of a broker may land, though some are under way, while others' do.
    pub stalled_max: Duration,
    /// For how long one that listens no more must have been silent too: its address may be one that
    /// the leader does not reach.
    pub gone_silence: Duration,
    /// Brokers fenced within a second, so that a fault of the leader's own does not fence all.
    pub fences_per_second: usize,
    /// A longer time between two looks means that the leader itself stood still.
    pub gap: Duration,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3),
            stalled_max: Duration::from_secs(10),
            gone_silence: Duration::from_millis(600),
            fences_per_second: 3,
            gap: Duration::from_secs(1),
        }
    }
}

/// Why a broker is to be fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was silent for a session.
    Silent,
    /// Its connection closed, and nobody listens where it did.
    Gone,
    /// Its slots do not land, and those of others do.
    Storeless,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "it was not heard of for a session",
            Self::Gone => "its connection closed and it listens no more",
            Self::Storeless => "its slots do not reach the store, and those of others do",
        })
    }
}

/// How the slots of a broker fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Landings {
    /// For how long slots have been under way and none has landed; zero if none is under way.
    pub stalled: Duration,
    /// How long ago one landed; none if none has. One that is idle says nothing about the store.
    pub newest: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    heard: Instant,
    /// As it said last.
    landings: Landings,
    is_gone: bool,
}

/// The sessions of one leadership.
#[derive(Debug)]
pub struct Sessions {
    options: SessionOptions,
    by: BTreeMap<Incarnation, Session>,
    /// The last look.
    looked: Instant,
    /// When brokers were found to be fenced, within the last second.
    fenced: Vec<Instant>,
}

impl Sessions {
    /// At an election: everybody's session begins now.
    #[must_use]
    pub fn new(options: SessionOptions, now: Instant) -> Self {
        Self { options, by: BTreeMap::new(), looked: now, fenced: Vec::new() }
    }

    /// A broker was heard of, and how its slots fare.
    pub fn heard(&mut self, of: Incarnation, landings: Landings, now: Instant) {
        self.by.insert(of, Session { heard: now, landings, is_gone: false });
    }

    /// A broker's node led until now, and spoke last at `spoke`. There is another leader since a majority has not heard
    /// of it for a while; its silence begins no later than that, so that nobody waits once more where nobody listens.
    /// Who spoke as the leader longer ago than a session is not the one that was replaced, and may live.
    pub fn led(&mut self, of: Incarnation, spoke: Instant, now: Instant) {
        let silent = now.duration_since(spoke);
        if silent < self.options.timeout {
            let silent = silent.min(self.options.gone_silence);
            self.heard(of, Landings::default(), now.checked_sub(silent).unwrap_or(now));
        }
    }

    /// A broker's connection closed, and a new one was refused: nobody listens there. One that is
    /// heard of again after this was not gone.
    pub fn gone(&mut self, of: Incarnation) {
        if let Some(session) = self.by.get_mut(&of) {
            session.is_gone = true;
        }
    }

    /// Who of the `live` brokers is to be fenced now. To be called when all that was received was
    /// told, several times within a session.
    pub fn look(
        &mut self,
        live: impl IntoIterator<Item = Incarnation>,
        now: Instant,
    ) -> Vec<(Incarnation, Reason)> {
        let stood_still = now.duration_since(self.looked) > self.options.gap;
        self.looked = now;
        let live: Vec<Incarnation> = live.into_iter().collect();
        self.by.retain(|of, _| live.contains(of));
        for of in &live {
            let begins = Session { heard: now, landings: Landings::default(), is_gone: false };
            let session = self.by.entry(*of).or_insert(begins);
            if stood_still {
                // What was sent meanwhile may not have been read.
                session.heard = now;
            }
        }
        self.fenced.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        let room = self.options.fences_per_second.saturating_sub(self.fenced.len());
        let others_land = self.by.values().any(|s| {
            let ago = s.landings.newest.map(|ago| ago + now.duration_since(s.heard));
            ago.is_some_and(|ago| ago < self.options.stalled_max / 2)
        });
        let found =
            self.by.iter().filter_map(|(of, s)| Some((*of, self.judge(s, others_land, now)?)));
        let found: Vec<_> = found.take(room).collect();
        self.fenced.extend(found.iter().map(|_| now));
        found
    }

    fn judge(&self, session: &Session, others_land: bool, now: Instant) -> Option<Reason> {
        let silent = now.duration_since(session.heard);
        if session.is_gone && silent >= self.options.gone_silence {
            Some(Reason::Gone)
        } else if silent >= self.options.timeout {
            Some(Reason::Silent)
        } else if session.landings.stalled >= self.options.stalled_max && others_land {
            Some(Reason::Storeless)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::{BrokerEpoch, BrokerId};

    use super::*;

    const A: Incarnation = Incarnation { broker: BrokerId(1), epoch: BrokerEpoch(1) };
    const B: Incarnation = Incarnation { broker: BrokerId(2), epoch: BrokerEpoch(2) };
    const C: Incarnation = Incarnation { broker: BrokerId(3), epoch: BrokerEpoch(3) };
    /// Nothing lands, for longer than may be.
    const STALLS: Landings =
        Landings { stalled: Duration::from_secs(20), newest: Some(Duration::from_secs(20)) };
    /// Nothing is under way, and nothing ever was.
    const IDLE: Landings = Landings { stalled: Duration::ZERO, newest: None };

    /// Looks every half second until `to`, with the brokers that speak up each time.
    struct Leader {
        sessions: Sessions,
        start: Instant,
        ms: u64,
    }

    impl Leader {
        fn new() -> Self {
            let start = Instant::now();
            Self { sessions: Sessions::new(SessionOptions::default(), start), start, ms: 0 }
        }

        fn now(&self) -> Instant {
            self.start + Duration::from_millis(self.ms)
        }

        fn until(
            &mut self,
            ms: u64,
            heard: &[(Incarnation, Landings)],
        ) -> Vec<(u64, Incarnation, Reason)> {
            let mut found = Vec::new();
            while self.ms < ms {
                self.ms += 500;
                for (of, landings) in heard {
                    self.sessions.heard(*of, *landings, self.now());
                }
                let fenced = self.sessions.look([A, B, C], self.now());
                found.extend(fenced.into_iter().map(|(of, why)| (self.ms, of, why)));
                if !found.is_empty() {
                    break;
                }
            }
            found
        }
    }

    const LANDS: Landings =
        Landings { stalled: Duration::ZERO, newest: Some(Duration::from_millis(100)) };

    #[test]
    fn who_is_silent_for_a_session_is_fenced_and_nobody_else() {
        let mut leader = Leader::new();
        assert_eq!(leader.until(10_000, &[(A, LANDS), (B, LANDS), (C, LANDS)]), []);
        assert_eq!(leader.until(20_000, &[(A, LANDS), (C, LANDS)]), [(13_000, B, Reason::Silent)]);
    }

    #[test]
    fn a_leader_that_stood_still_gives_everybody_a_session() {
        let mut leader = Leader::new();
        assert_eq!(leader.until(2_000, &[(A, LANDS), (B, LANDS), (C, LANDS)]), []);
        leader.ms += 60_000;
        assert_eq!(leader.until(64_500, &[]), []);
        assert_eq!(leader.until(70_000, &[(B, LANDS), (C, LANDS)])[0].0, 65_500);
    }

    #[test]
    fn who_is_gone_is_fenced_soon_unless_it_is_heard_of_again() {
        let mut leader = Leader::new();
        assert_eq!(leader.until(1_000, &[(A, LANDS), (B, LANDS), (C, LANDS)]), []);
        leader.sessions.gone(B);
        leader.sessions.heard(B, LANDS, leader.now());
        leader.sessions.gone(C);
        assert_eq!(leader.sessions.look([A, B, C], leader.now()), [], "it may be on its way");
        leader.ms += 600;
        assert_eq!(leader.sessions.look([A, B, C], leader.now()), [(C, Reason::Gone)]);
    }

    #[test]
    fn who_led_before_is_fenced_as_soon_as_nobody_listens_and_has_its_session_otherwise() {
        let mut leader = Leader::new();
        let spoke = leader.now();
        leader.ms += 900;
        leader.sessions = Sessions::new(SessionOptions::default(), leader.now());
        leader.sessions.led(A, spoke, leader.now());
        leader.sessions.led(B, spoke, leader.now());
        assert_eq!(leader.sessions.look([A, B, C], leader.now()), [], "both may listen");
        leader.sessions.gone(A);
        leader.sessions.gone(C);
        assert_eq!(leader.sessions.look([A, B, C], leader.now()), [(A, Reason::Gone)]);
        // One that led an hour ago has its silence like everybody.
        let long_after = leader.now() + leader.sessions.options.timeout;
        let mut later = Sessions::new(SessionOptions::default(), long_after);
        later.led(A, spoke, long_after);
        assert_eq!(later.look([A], long_after), []);
        later.gone(A);
        assert_eq!(later.look([A], long_after), []);
        // No more than that silence is taken off the session of who listens.
        let mut silent = Vec::new();
        while silent.is_empty() {
            leader.ms += 100;
            silent = leader.sessions.look([B], leader.now());
        }
        assert_eq!((leader.ms, silent), (3_300, vec![(B, Reason::Silent)]));
    }

    #[test]
    fn who_cannot_reach_the_store_is_fenced_only_while_others_can() {
        let mut leader = Leader::new();
        assert_eq!(leader.until(5_000, &[(A, STALLS), (B, STALLS), (C, IDLE)]), []);
        assert_eq!(
            leader.until(6_000, &[(A, STALLS), (B, STALLS), (C, LANDS)]),
            [(5_500, A, Reason::Storeless), (5_500, B, Reason::Storeless)]
        );
    }

    #[test]
    fn fences_are_bounded_by_the_second() {
        let start = Instant::now();
        let options = SessionOptions { fences_per_second: 1, ..SessionOptions::default() };
        let mut sessions = Sessions::new(options, start);
        let at = |ms| start + Duration::from_millis(ms);
        for ms in (0..=2_500).step_by(500) {
            assert_eq!(sessions.look([A, B], at(ms)), []);
        }
        assert_eq!(sessions.look([A, B], at(3_000)), [(A, Reason::Silent)]);
        assert_eq!(sessions.look([B], at(3_500)), []);
        assert_eq!(sessions.look([B], at(4_000)), [(B, Reason::Silent)]);
    }
}
