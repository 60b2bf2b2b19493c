//! A reader that follows the end of a partition.

use std::sync::Arc;

use odradek_tests::history::{Content, Event, Place, Reader};
use odradek_tests::wire::{Failed, Wire};

use super::calls::limited;
use super::{Common, TOPIC};

/// How long the broker may wait for something to read.
const WAIT_MS: i32 = 500;

/// Kafka's code for an offset that is not in the log.
pub const OFFSET_OUT_OF_RANGE: i16 = 1;

/// Reads until the end that the log is known to have.
pub async fn follow(common: Arc<Common>, place: Place) {
    let pass = common.notes.unique();
    common.notes.note(Event::PassBegan { pass, place, reader: Reader::Tail });
    let (mut position, mut wire) = (0, None);
    loop {
        let end = common.ends.lock().as_ref().map(|ends| ends[&place]);
        if end.is_some_and(|end| position >= end) {
            return;
        }
        match common.read(&mut wire, pass, place, position).await {
            Ok(next) => position = next,
            Err(failed) => {
                wire = None;
                common.bear(&failed).await;
            }
        }
    }
}

impl Common {
    /// Reads some of a partition of the topic under load, notes it and gives the next position.
    pub async fn read(
        &self,
        wire: &mut Option<Wire>,
        pass: u64,
        place: Place,
        position: i64,
    ) -> Result<i64, Failed> {
        let wire = match wire {
            Some(wire) => wire,
            none => none.insert(self.leader(TOPIC, place.partition).await?),
        };
        let read = limited(wire.read(TOPIC, place.partition, position, WAIT_MS)).await;
        if let Err(Failed::Code(OFFSET_OUT_OF_RANGE)) = read {
            self.notes.problem(format!("{position} of {place} is said to be out of range"));
        }
        let read = read?;
        self.notes.answered();
        let mut next = position;
        for (offset, value) in read {
            let content = Content::decode(Some(&value));
            self.notes.note(Event::Read { pass, offset, content });
            next = offset + 1;
        }
        Ok(next)
    }
}
