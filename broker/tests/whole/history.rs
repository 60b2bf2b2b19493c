//! What was sent, acknowledged and seen, and what must hold of it.

use std::collections::BTreeMap;

use bytes::Bytes;

pub const PARTITIONS: i32 = 2;

/// The history of one topic with one idempotent producer.
#[derive(Debug, Default)]
pub struct History {
    /// Records sent, by partition: the numbers below.
    sent: BTreeMap<i32, u64>,
    /// Acknowledged, by partition and offset.
    acked: BTreeMap<i32, BTreeMap<i64, u64>>,
    /// Given to a consumer, by partition and offset.
    seen: BTreeMap<i32, BTreeMap<i64, Bytes>>,
    /// Topics whose creation was acknowledged and whose deletion was not asked for, and reverse.
    pub topics: BTreeMap<String, bool>,
    /// Offsets of a group: the last acknowledged, the last sent.
    pub committed: (i64, i64),
}

/// The value of record `number`; its length differs, so that slots do too.
pub fn value(partition: i32, number: u64) -> Vec<u8> {
    let mut value = format!("{partition}:{number}:").into_bytes();
    let length = usize::try_from(number * 7919 % 1800).unwrap();
    value.extend((0..length).map(|i| u8::try_from((i as u64 + number) % 251).unwrap()));
    value
}

impl History {
    /// Numbers for `count` more records.
    pub fn send(&mut self, partition: i32, count: u64) -> u64 {
        let sent = self.sent.entry(partition).or_default();
        *sent += count;
        *sent - count
    }

    pub fn ack(
        &mut self,
        partition: i32,
        offset: i64,
        first: u64,
        count: u64,
    ) -> Result<(), String> {
        let acked = self.acked.entry(partition).or_default();
        for (offset, number) in (offset..).zip(first..first + count) {
            if acked.insert(offset, number).is_some_and(|before| before != number) {
                return Err(format!("{partition}: offset {offset} acknowledged for two records"));
            }
        }
        Ok(())
    }

    /// Takes in what a consumer was given.
    pub fn see(&mut self, partition: i32, read: &BTreeMap<i64, Bytes>) -> Result<(), String> {
        let seen = self.seen.entry(partition).or_default();
        for (offset, value) in read {
            if let Some(before) = seen.insert(*offset, value.clone())
                && before != *value
            {
                return Err(format!("{partition}: offset {offset} has two contents"));
            }
        }
        Ok(())
    }

    pub fn next_seen(&self, partition: i32) -> i64 {
        let seen = self.seen.get(&partition).and_then(|seen| seen.last_key_value());
        seen.map_or(0, |(offset, _)| offset + 1)
    }

    pub fn acked(&self) -> usize {
        self.acked.values().map(BTreeMap::len).sum()
    }

    /// Checks a whole partition, as it was read from its beginning to its high watermark.
    pub fn check(&mut self, partition: i32, read: &BTreeMap<i64, Bytes>) -> Result<(), String> {
        self.see(partition, read)?;
        let sent = self.sent.get(&partition).copied().unwrap_or(0);
        if read.len() as u64 > sent {
            return Err(format!("{partition}: {} records of {sent} sent: doubled", read.len()));
        }
        for ((offset, found), expected) in read.iter().zip(0..) {
            // One producer, in order, without gaps: offset and number are the same.
            if *offset != expected
                || found[..] != value(partition, u64::try_from(expected).unwrap())[..]
            {
                return Err(format!("{partition}: {expected} expected at {offset}"));
            }
        }
        let none = BTreeMap::new();
        for (offset, number) in self.acked.get(&partition).unwrap_or(&none) {
            if u64::try_from(*offset).unwrap() != *number || !read.contains_key(offset) {
                return Err(format!("{partition}: record {number}, acknowledged, is lost"));
            }
        }
        match self.seen.get(&partition).unwrap_or(&BTreeMap::new()).last_key_value() {
            Some((last, _)) if !read.contains_key(last) => {
                Err(format!("{partition}: {last} was seen and is lost"))
            }
            _ => Ok(()),
        }
    }
}

#[test]
fn faults_are_found() {
    let read = |numbers: &[u64]| -> BTreeMap<i64, Bytes> {
        (0..).zip(numbers).map(|(offset, number)| (offset, value(0, *number).into())).collect()
    };
    let history = || {
        let mut history = History::default();
        assert_eq!(history.send(0, 4), 0);
        history.ack(0, 0, 0, 3).unwrap();
        history
    };
    history().check(0, &read(&[0, 1, 2])).unwrap();
    history().check(0, &read(&[0, 1, 2, 3])).unwrap();
    for wrong in [&[0, 1][..], &[0, 2, 1], &[0, 1, 1, 2], &[0, 1, 2, 2], &[]] {
        history().check(0, &read(wrong)).unwrap_err();
    }
    let mut seen = history();
    seen.see(0, &read(&[0, 1, 2, 3])).unwrap();
    seen.check(0, &read(&[0, 1, 2])).unwrap_err();
    history().ack(0, 1, 2, 1).unwrap_err();
}
