//! Who reads on where it stopped, and how much to read ahead of it. A reader is known by what it
//! would ask for next, so that several in one partition do not disturb one another.

use std::hash::{DefaultHasher, Hash, Hasher};

use odradek_common::ids::TopicPartition;
use odradek_common::limits;
use parking_lot::Mutex;

/// The first read-ahead of a reader.
const FIRST_BYTES: u64 = limits::CACHE_BLOCK_BYTES;

#[derive(Clone, Copy, Debug)]
struct Stream {
    partition: TopicPartition,
    next_offset: i64,
    window: u64,
}

/// Recent reads, in a table of fixed size in which a newer one takes an older one's place.
#[derive(Debug)]
pub(super) struct Streams(Vec<Mutex<Option<Stream>>>);

impl Streams {
    pub fn new() -> Self {
        Self((0..limits::READ_AHEAD_READERS).map(|_| Mutex::new(None)).collect())
    }

    /// Notes a read of `partition` from `offset` to `next_offset` and says how many bytes to read
    /// ahead: none for a first read, then ever more.
    pub fn note(&self, partition: TopicPartition, offset: i64, next_offset: i64) -> u64 {
        let known = self
            .slot(partition, offset)
            .lock()
            .take_if(|stream| stream.partition == partition && stream.next_offset == offset);
        let window = match known.map(|stream| stream.window) {
            None => 0,
            Some(0) => FIRST_BYTES,
            Some(window) => (window * 2).min(limits::READ_AHEAD_BYTES),
        };
        *self.slot(partition, next_offset).lock() = Some(Stream { partition, next_offset, window });
        window
    }

    fn slot(&self, partition: TopicPartition, offset: i64) -> &Mutex<Option<Stream>> {
        let mut hasher = DefaultHasher::new();
        (partition, offset).hash(&mut hasher);
        let number = hasher.finish() % self.0.len() as u64;
        &self.0[usize::try_from(number).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::TopicId;

    use super::*;

    #[test]
    fn who_reads_on_is_read_ahead_of() {
        let streams = Streams::new();
        let partition = TopicPartition { topic: TopicId::NIL, partition: 1 };
        assert_eq!(streams.note(partition, 0, 10), 0);
        assert_eq!(streams.note(partition, 500, 510), 0, "another reader, or a jump");
        assert_eq!(streams.note(partition, 10, 20), FIRST_BYTES);
        assert_eq!(streams.note(partition, 20, 30), 2 * FIRST_BYTES);
        assert_eq!(streams.note(partition, 510, 520), FIRST_BYTES);
        assert_eq!(streams.note(partition, 20, 30), 0, "the same again is not reading on");
        let other = TopicPartition { partition: 2, ..partition };
        assert_eq!(streams.note(other, 30, 40), 0);
        for at in 1..100 {
            let window = streams.note(other, 30 + at * 10, 40 + at * 10);
            assert!(window <= limits::READ_AHEAD_BYTES);
        }
    }
}
