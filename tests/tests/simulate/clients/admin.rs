//! Topics that come and go, under names that come again.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::ProduceRequest;
use odradek_tests::history::{Content, Event, Place, Reader, ValueId};
use odradek_tests::wire::{Failed, batch_at, produce_request};

use super::Common;
use super::calls::limited;
use super::notes::ADMIN;

/// Whether a topic of this name was made or deleted last.
pub type Topics = BTreeMap<String, bool>;

/// Makes and deletes topics until it is time to wind up. A name is given up when it is not known what
/// became of a request: it may still be on its way.
pub async fn change_topics(common: Arc<Common>) -> Topics {
    let mut topics = Topics::new();
    let (mut number, mut name) = (0, 0);
    while !common.is_winding_up() {
        common.wait_ms(200, 1_500).await;
        number += 1;
        let topic = format!("other-{name}");
        let again = topics.contains_key(&topic);
        match common.one_life(&topic, number, &mut topics).await {
            Ok(()) => {
                if again {
                    common.notes.count("topic made again");
                }
                if topics.get(&topic) == Some(&true) {
                    name += 1;
                }
            }
            Err(failed) => {
                topics.remove(&topic);
                name += 1;
                common.bear(&failed).await;
            }
        }
    }
    topics
}

impl Common {
    /// Makes a topic, writes to it, reads that, and, most times, deletes it.
    async fn one_life(&self, topic: &str, number: u32, topics: &mut Topics) -> Result<(), Failed> {
        let mut wire = self.any().await?;
        limited(wire.create(topic, 1)).await?;
        topics.insert(topic.to_owned(), true);
        let place = Place { topic: number, partition: 0 };
        let mut wire = self.leader(topic, 0).await?;
        let count = 1 + self.below(5);
        let id = |sequence| ValueId { producer: ADMIN, place, sequence };
        for id in (0..count).map(id) {
            let (value, stamp) = id.encode(b"");
            self.notes.note(Event::Sent(stamp));
            let bytes = batch_at(self.wall_ms(), -1, -1, &[value]);
            let request = produce_request(topic, 0, bytes, 10_000);
            let answer = self.call::<ProduceRequest>(&mut wire, &request, 11).await?;
            let mut answers = answer.responses.iter().flat_map(|t| &t.partition_responses);
            let answer = answers.next().ok_or_else(|| Failed::Malformed("no partition".into()))?;
            Failed::check(answer.error_code)?;
            let offset = Some(answer.base_offset);
            self.notes.note(Event::Acknowledged { id, offset });
        }
        let pass = self.notes.unique();
        let until = i64::try_from(count).unwrap_or(0);
        self.notes.note(Event::PassBegan { pass, place, reader: Reader::Scan { until } });
        for (offset, value) in limited(wire.read(topic, 0, 0, 0)).await? {
            let content = Content::decode(Some(&value));
            self.notes.note(Event::Read { pass, offset, content });
        }
        self.notes.note(Event::ScanEnded { pass });
        if self.below(5) > 0 {
            self.delete_topic(topic).await?;
            topics.insert(topic.to_owned(), false);
        }
        Ok(())
    }
}
