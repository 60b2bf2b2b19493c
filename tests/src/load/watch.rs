//! How long each partition waits for the first new acknowledgement.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::history::{Event, Place, ValueId};

/// Begun at a fault. Only what is sent after it counts: an answer may have been on its way.
#[derive(Debug)]
pub(super) struct Watch {
    begun: Instant,
    sent: HashSet<ValueId>,
    waited: BTreeMap<Place, Duration>,
}

impl Watch {
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now(), sent: HashSet::new(), waited: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Sent(stamp) if !self.waited.contains_key(&stamp.id.place) => {
                self.sent.insert(stamp.id);
            }
            Event::Acknowledged { id, .. } if self.sent.remove(id) => {
                self.waited.entry(id.place).or_insert_with(|| self.begun.elapsed());
            }
            _ => {}
        }
    }

    pub(super) fn waited(&self) -> BTreeMap<Place, Duration> {
        self.waited.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_sent_after_the_beginning_counts() {
        let place = Place { topic: 0, partition: 1 };
        let id = |sequence| ValueId { producer: 0, place, sequence };
        let acknowledged = |sequence| Event::Acknowledged { id: id(sequence), offset: None };
        let mut watch = Watch::begin();
        watch.take(&acknowledged(0));
        watch.take(&Event::Sent(id(1).encode(b"").1));
        assert_eq!(watch.waited(), BTreeMap::new());
        tokio::time::advance(Duration::from_secs(2)).await;
        watch.take(&acknowledged(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        watch.take(&Event::Sent(id(2).encode(b"").1));
        watch.take(&acknowledged(2));
        assert_eq!(watch.waited(), BTreeMap::from([(place, Duration::from_secs(2))]));
    }
}
