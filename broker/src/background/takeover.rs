//! Takes over from fenced brokers. Every live broker may, any number at once (law 3.4); so that they
//! do not all, each waits its turn, and finds mostly that it is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odradek_metadata::{Image, Incarnation};
use tokio::time::Instant;
use tracing::warn;

use crate::core::Core;

/// Between the turns of two brokers: longer than a takeover mostly takes.
const TURN: Duration = Duration::from_secs(2);
/// After a takeover that was not complete: the store is away, or a slot cannot be read.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// When a fenced broker is taken over from, if nobody else does before.
#[derive(Debug)]
struct Due {
    at: Instant,
    /// The wait if it does not succeed.
    again: Duration,
}

/// Follows the metadata until its watch ends.
pub async fn run(core: Arc<Core>) {
    let mut images = core.metadata.subscribe();
    let mut due: BTreeMap<Incarnation, Due> = BTreeMap::new();
    loop {
        let image = images.borrow_and_update().clone();
        note(&mut due, &image, core.me, Instant::now());
        let next = due.iter().min_by_key(|(_, due)| due.at).map(|(from, due)| (*from, due.at));
        let at = next.map_or_else(|| Instant::now() + AGAIN_MAX, |(_, at)| at);
        tokio::select! {
            changed = images.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            () = tokio::time::sleep_until(at) => {}
        }
        let Some((from, _)) = next else { continue };
        if let Err(error) = core.take_over_from(from).await {
            warn!(%from, %error, "a takeover did not succeed; it is tried again");
        }
        if let Some(due) = due.get_mut(&from) {
            due.at = Instant::now() + due.again;
            due.again = (due.again * 2).min(AGAIN_MAX);
        }
    }
}

/// Notes who is to be taken over from, and forgets who was.
fn note(due: &mut BTreeMap<Incarnation, Due>, image: &Image, me: Incarnation, now: Instant) {
    due.retain(|from, _| !image.is_recovered(*from));
    for from in image.registrations().filter(|r| !r.is_live() && !r.recovered) {
        let turn = turn(image, from.incarnation, me);
        due.entry(from.incarnation).or_insert(Due { at: now + TURN * turn, again: AGAIN });
    }
}

/// How many live brokers come before `me`: they begin with another one for each that is fenced.
fn turn(image: &Image, from: Incarnation, me: Incarnation) -> u32 {
    let live: Vec<Incarnation> = image.live_brokers().map(|r| r.incarnation).collect();
    let count = u64::try_from(live.len()).unwrap_or(1).max(1);
    let mine = live.iter().position(|of| *of == me).unwrap_or(0);
    let first = from.epoch.0 % count;
    let turn = (u64::try_from(mine).unwrap_or(0) + count - first) % count;
    u32::try_from(turn).unwrap_or(0)
}
