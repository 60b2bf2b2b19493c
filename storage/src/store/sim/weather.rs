//! How requests fare: drawn for each from what the weather is when it is asked.

use std::ops::RangeInclusive;
use std::time::Duration;

use odradek_common::random::Random;

use crate::store::Operation;

/// What may happen to requests. Chances are in a thousand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// How long a request takes, in milliseconds.
    pub latency_ms: RangeInclusive<u64>,
    /// 503: nothing has happened.
    pub unavailable: u64,
    /// It happens, and its answer is lost.
    pub answer_lost: u64,
    /// The connection breaks, and what was asked for happens later, up to this many milliseconds.
    pub late: u64,
    /// See [`Weather::late`].
    pub late_ms: u64,
    /// It takes up to [`Weather::slow_ms`] longer, so that others overtake it.
    pub slow: u64,
    /// See [`Weather::slow`].
    pub slow_ms: u64,
    /// Connections are refused.
    pub is_away: bool,
}

impl Weather {
    /// Nothing goes wrong.
    #[must_use]
    pub fn fair(latency_ms: RangeInclusive<u64>) -> Self {
        Self {
            latency_ms,
            unavailable: 0,
            answer_lost: 0,
            late: 0,
            late_ms: 0,
            slow: 0,
            slow_ms: 0,
            is_away: false,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It happens, and is answered.
    Fair,
    /// So, and slowly.
    Slow,
    /// See [`Weather::unavailable`].
    Unavailable,
    /// See [`Weather::answer_lost`].
    AnswerLost,
    /// See [`Weather::late`].
    Late,
    /// See [`Weather::is_away`].
    Away,
}

/// A request's fate, when it happens and when the answer comes, both from now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) fate: Fate,
    pub(super) happens: Option<Duration>,
    pub(super) answered: Duration,
}

impl Weather {
    pub(super) fn plan(&self, operation: Operation, random: &dyn Random) -> Plan {
        let (least, most) = (*self.latency_ms.start(), *self.latency_ms.end());
        let took_ms = least + random.next_u64() % (most - least + 1);
        let up_to = |most_ms: u64| random.next_u64() % (most_ms + 1);
        let changes = matches!(operation, Operation::Put | Operation::Delete);
        let fate = self.fate(changes, random.next_u64() % 1000);
        let (happens_ms, answered_ms) = match fate {
            Fate::Fair | Fate::AnswerLost => (Some(up_to(took_ms)), took_ms),
            Fate::Slow => {
                let longer = took_ms + up_to(self.slow_ms);
                (Some(up_to(longer)), longer)
            }
            Fate::Late => (Some(took_ms + up_to(self.late_ms)), took_ms),
            Fate::Unavailable | Fate::Away => (None, took_ms),
        };
        let happens = happens_ms.map(Duration::from_millis);
        Plan { fate, happens, answered: Duration::from_millis(answered_ms) }
    }

    /// By a number below 1000. Only what changes something may happen late.
    fn fate(&self, changes: bool, drawn: u64) -> Fate {
        if self.is_away {
            return Fate::Away;
        }
        let late = if changes { self.late } else { 0 };
        let mut below = 0;
        let chances = [
            (self.unavailable, Fate::Unavailable),
            (self.answer_lost, Fate::AnswerLost),
            (late, Fate::Late),
            (self.slow, Fate::Slow),
        ];
        let met = chances.into_iter().find(|(chance, _)| {
            below += chance;
            drawn < below
        });
        met.map_or(Fate::Fair, |(_, fate)| fate)
    }
}
