//! The attempts of this process that are under way. The collector asks for the oldest: a horizon
//! above its birth mark would void it, and the next attempt at the same work, which is no smaller,
//! after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_metadata::Image;
use odradek_storage::attempt::Attempt;
use parking_lot::Mutex;

/// How many attempts of each birth mark are under way.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<BTreeMap<u64, usize>>);

/// An attempt that counts as under way until this is dropped: to be kept until its last command
/// has its outcome.
#[derive(Debug)]
pub struct Begun {
    /// The metadata at its start, whose index is the birth mark.
    pub image: Arc<Image>,
    /// What writes its objects.
    pub attempt: Attempt,
    attempts: Arc<Attempts>,
}

impl Attempts {
    /// Begins an attempt with the image that `image` gives.
    pub fn begin(
        self: &Arc<Self>,
        image: impl FnOnce() -> Arc<Image>,
        attempt: impl FnOnce(u64) -> Attempt,
    ) -> Begun {
        // Whoever asks for the oldest sees either this mark, or an index that is not above it.
        let mut marks = self.0.lock();
        let image = image();
        let mark = image.applied_index();
        *marks.entry(mark).or_default() += 1;
        Begun { image, attempt: attempt(mark), attempts: self.clone() }
    }

    /// The oldest birth mark of an attempt that is under way.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.0.lock().keys().next().copied()
    }

    fn end(&self, mark: u64) {
        let mut marks = self.0.lock();
        if let Some(count) = marks.get_mut(&mark) {
            *count -= 1;
            if *count == 0 {
                marks.remove(&mark);
            }
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.attempts.end(self.attempt.mark());
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use odradek_common::random::SeededRandom;
    use odradek_storage::names::Names;
    use odradek_storage::slots::NoSlots;

    use super::*;

    fn attempt(mark: u64) -> Attempt {
        let names = Names::new(Path::default(), "c".parse().unwrap());
        let random = Arc::new(SeededRandom::from_seed(1));
        Attempt::new(Arc::new(InMemory::new()), names, random, Arc::new(NoSlots), mark)
    }

    #[test]
    fn a_mark_stands_until_its_last_attempt_ends() {
        let attempts = Arc::new(Attempts::default());
        // The image gives the same index to all; the marks here are what is looked at.
        let begin = || attempts.begin(Arc::default, attempt);
        assert_eq!(attempts.oldest(), None);
        let one = begin();
        let other = begin();
        assert_eq!(one.attempt.mark(), one.image.applied_index());
        drop(one);
        assert_eq!(attempts.oldest(), Some(other.attempt.mark()));
        drop(other);
        assert_eq!(attempts.oldest(), None);
    }
}
