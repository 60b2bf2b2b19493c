//! The memory of the lane of catch-up reads: each read leases the bytes that it has in hand, and
//! waits if too many are out. A read holds one lease; it gives it back before it waits for a
//! larger one, so that readers cannot wait for one another in a circle.

use std::sync::Arc;

use odradek_common::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const KIB: u64 = 1 << 10;

/// The bytes that all reads together may have in hand.
#[derive(Clone, Debug)]
pub(super) struct Lane(Arc<Semaphore>);

/// Bytes that one read has in hand. They go back when it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    lane: Lane,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lane {
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(permits_of(limits::READ_LANE_BYTES as u64) as usize)))
    }

    /// Bytes that are not leased.
    #[cfg(test)]
    pub fn free_bytes(&self) -> u64 {
        self.0.available_permits() as u64 * KIB
    }

    /// A lease of `bytes`, or of the whole lane if they are more: one read at a time may pass that.
    pub async fn lease(&self, bytes: u64) -> Lease {
        let mut lease = Lease { lane: self.clone(), permit: None };
        lease.cover(bytes).await;
        lease
    }
}

impl Lease {
    /// Makes this a lease of at least `bytes`.
    pub async fn cover(&mut self, bytes: u64) {
        let permits = permits_of(bytes).min(permits_of(limits::READ_LANE_BYTES as u64));
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if held >= permits as usize {
            return;
        }
        self.permit = None;
        // The semaphore is never closed.
        self.permit = Arc::clone(&self.lane.0).acquire_many_owned(permits).await.ok();
    }
}

fn permits_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_growing_lease_gives_back_before_it_waits() {
        let lane = Lane::new();
        let half = limits::READ_LANE_BYTES as u64 / 2;
        let mut one = lane.lease(half).await;
        let mut two = lane.lease(half).await;
        assert!(one.cover(half + 1).now_or_never().is_none(), "the lane is full");
        // The first has given its half back, so that the second can grow.
        two.cover(2 * half).await;
        drop(two);
        one.cover(u64::MAX).await;
        assert!(lane.lease(1).now_or_never().is_none(), "all of it is out");
        drop(one);
        assert!(lane.lease(1).now_or_never().is_some());
    }
}
