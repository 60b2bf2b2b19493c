//! What holds of the metadata at any time, as all brokers together have it.

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_metadata::image::{Registration, TopicState};
use odradek_metadata::{Image, Incarnation};

/// Images that are kept for comparison with those of brokers that come to them later.
const KEPT: usize = 300;

/// Looks at the images of all brokers.
#[derive(Default)]
pub struct Invariants {
    /// By the index of the newest entry in them.
    seen: BTreeMap<u64, Arc<Image>>,
}

impl Invariants {
    /// What is wrong with an image that a broker has, beside those that were seen before.
    pub fn look(&mut self, image: Arc<Image>) -> Option<String> {
        let index = image.applied_index();
        if let Some(same) = self.seen.get(&index) {
            let is_same = Arc::ptr_eq(same, &image) || *same == image;
            return (!is_same).then(|| format!("two images of entry {index} differ"));
        }
        let before = self.seen.range(..index).next_back();
        let after = self.seen.range(index..).next();
        let wrong = before.and_then(|(_, before)| step(before, &image));
        let wrong = wrong.or_else(|| after.and_then(|(_, after)| step(&image, after)));
        self.seen.insert(index, image);
        while self.seen.len() > KEPT {
            self.seen.pop_first();
        }
        wrong
    }

    /// Whether a broker was seen with an image of that entry.
    pub fn has_seen(&self, index: u64) -> bool {
        self.seen.contains_key(&index)
    }

    /// What is still undone when all has been well for a while.
    pub fn undone(&self) -> Vec<String> {
        let Some((_, image)) = self.seen.last_key_value() else { return Vec::new() };
        let of_live_topic =
            |topic| image.topic(topic).is_some_and(|topic| topic.state == TopicState::Live);
        let offline = image
            .partitions()
            .filter(|(at, partition)| of_live_topic(at.topic) && !image.is_live(partition.owner));
        let offline = offline.map(|(at, _)| format!("{at} is offline though all is well"));
        let left = image.registrations().filter(|of| !of.is_live() && !of.recovered);
        let left = left.map(|of| format!("nobody took over from {}", of.incarnation));
        offline.chain(left).collect()
    }
}

/// What is wrong about one image that follows another.
fn step(before: &Image, after: &Image) -> Option<String> {
    for (at, now) in after.partitions() {
        if is_over(after, now.owner) {
            return Some(format!("{at} is owned by {}, which is recovered", now.owner));
        }
        let Some(then) = before.partition(at) else { continue };
        let falls = now.leader_epoch < then.leader_epoch
            || now.flushed_end < then.flushed_end
            || now.log_start < then.log_start;
        let moves = now.owner != then.owner && now.leader_epoch == then.leader_epoch;
        if falls || moves {
            return Some(format!("{at} was {then:?} and is {now:?}"));
        }
    }
    let revived = |of: &&Registration| {
        let then = before.registration(of.incarnation);
        then.is_some_and(|then| !then.is_live() && of.is_live() || then.recovered && !of.recovered)
    };
    let revived = after.registrations().find(revived);
    revived.map(|of| format!("{} came back", of.incarnation))
}

fn is_over(image: &Image, of: Incarnation) -> bool {
    image.registration(of).is_some_and(|of| of.recovered)
}
