//! How long batches gather: it follows how long puts take.

use std::time::Duration;

use tokio::time::Instant;

/// The measured put latency and the bounds of the linger.
#[derive(Debug)]
pub(super) struct Linger {
    floor: Duration,
    max: Duration,
    /// A running mean; `None` before the first put came back.
    latency: Option<Duration>,
}

impl Linger {
    pub(super) fn new(floor: Duration, max: Duration) -> Self {
        Self { floor: floor.min(max), max, latency: None }
    }

    /// Takes in how long a put took.
    pub(super) fn measured(&mut self, took: Duration) {
        self.latency = Some(match self.latency {
            None => took,
            Some(mean) => (mean * 7 + took) / 8,
        });
    }

    /// Half of what a put takes: enough to gather what comes in a round trip into two slots, and
    /// little against the round trip itself.
    pub(super) fn now(&self) -> Duration {
        self.latency.map_or(self.max, |latency| (latency / 2).clamp(self.floor, self.max))
    }

    /// When a slot is to be cut that has gathered since `since` and is not full. If nothing is in
    /// flight, at once: the round trip is then the linger. If the log writes one slot at a time,
    /// not before that: a slot cut earlier would only wait, and batches with it that miss it.
    pub(super) fn cut_at(
        &self,
        since: Instant,
        now: Instant,
        in_flight: bool,
        one_at_a_time: bool,
    ) -> Option<Instant> {
        match (in_flight, one_at_a_time) {
            (false, _) => Some(now),
            (true, true) => None,
            (true, false) => Some(since + self.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_store_between_its_bounds() {
        let ms = Duration::from_millis;
        let mut linger = Linger::new(ms(1), ms(50));
        assert_eq!(linger.now(), ms(50));
        linger.measured(ms(3));
        assert_eq!(linger.now(), ms(3) / 2);
        for _ in 0..100 {
            linger.measured(ms(400));
        }
        assert_eq!(linger.now(), ms(50));
        for _ in 0..100 {
            linger.measured(Duration::from_micros(80));
        }
        assert_eq!(linger.now(), ms(1));
    }
}
