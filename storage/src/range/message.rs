//! Ranges as they stand in objects. A list names each object once, in a table of places, and its
//! ranges point into it: a flush of 256 partitions names one segment, not 256 times the same.

use std::collections::HashMap;

use odradek_common::ids::{
    BrokerEpoch, BrokerId, ChainId, GroupId, LeaderEpoch, SlotNumber, TopicId, TopicPartition,
};
use uuid::Uuid;

use super::{BadRange, Place, Range};
use crate::envelope::EnvelopeError;
use crate::names::{ChainRef, ObjectKind, ObjectName};

/// Why bytes are not a list of ranges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Their envelope is wrong.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A range cannot be.
    #[error(transparent)]
    Range(#[from] BadRange),
    /// A field holds what it cannot, or is missing.
    #[error("{0}")]
    Field(&'static str),
}

/// A segment's name: its kind needs no saying.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SegmentMessage {
    #[prost(uint64, tag = "1")]
    pub mark: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub unique: Vec<u8>,
}

/// A slot's place.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct SlotMessage {
    #[prost(int32, tag = "1")]
    pub broker: i32,
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    #[prost(uint32, tag = "3")]
    pub chain: u32,
    #[prost(uint64, tag = "4")]
    pub slot: u64,
}

/// An entry of the table of places: exactly one of the two.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct PlaceMessage {
    #[prost(message, optional, tag = "1")]
    pub segment: Option<SegmentMessage>,
    #[prost(message, optional, tag = "2")]
    pub slot: Option<SlotMessage>,
}

/// A range. In a segment's own footer its place is the segment.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct RangeMessage {
    #[prost(int64, tag = "1")]
    pub base_offset: i64,
    #[prost(int64, tag = "2")]
    pub next_offset: i64,
    #[prost(int32, tag = "3")]
    pub leader_epoch: i32,
    #[prost(sint64, tag = "4")]
    pub max_timestamp: i64,
    #[prost(uint32, tag = "5")]
    pub place: u32,
    #[prost(uint64, tag = "6")]
    pub position: u64,
    #[prost(uint64, tag = "7")]
    pub length: u64,
    #[prost(fixed32, tag = "8")]
    pub crc: u32,
    #[prost(uint64, tag = "9")]
    pub index_position: u64,
    #[prost(uint32, tag = "10")]
    pub index_length: u32,
}

/// A partition and the group it belongs to.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct PartitionMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub topic: Vec<u8>,
    #[prost(int32, tag = "2")]
    pub partition: i32,
    #[prost(uint64, tag = "3")]
    pub group: u64,
}

impl PartitionMessage {
    pub fn new(partition: TopicPartition, group: GroupId) -> Self {
        let topic = partition.topic.as_bytes().to_vec();
        Self { topic, partition: partition.partition, group: group.0 }
    }

    pub fn check(&self) -> Result<(TopicPartition, GroupId), ListError> {
        let topic = TopicId::from_slice(&self.topic).ok_or(ListError::Field("bad topic id"))?;
        if self.partition < 0 {
            return Err(ListError::Field("negative partition"));
        }
        Ok((TopicPartition { topic, partition: self.partition }, GroupId(self.group)))
    }
}

impl RangeMessage {
    pub fn new(range: &Range, place: u32) -> Self {
        Self {
            base_offset: range.base_offset,
            next_offset: range.next_offset,
            leader_epoch: range.leader_epoch.0,
            max_timestamp: range.max_timestamp,
            place,
            position: range.position,
            length: range.length,
            crc: range.crc,
            index_position: range.index.0,
            index_length: range.index.1,
        }
    }

    pub fn check(&self, place: Place) -> Result<Range, ListError> {
        let range = Range {
            base_offset: self.base_offset,
            next_offset: self.next_offset,
            leader_epoch: LeaderEpoch(self.leader_epoch),
            max_timestamp: self.max_timestamp,
            place,
            position: self.position,
            length: self.length,
            crc: self.crc,
            index: (self.index_position, self.index_length),
        };
        range.check()?;
        Ok(range)
    }
}

/// The table of places while it is written.
#[derive(Default)]
pub(crate) struct PlaceTable {
    known: HashMap<Place, u32>,
    messages: Vec<PlaceMessage>,
}

impl PlaceTable {
    pub fn range(&mut self, range: &Range) -> RangeMessage {
        let messages = &mut self.messages;
        let place = *self.known.entry(range.place).or_insert_with(|| {
            messages.push(place_message(range.place));
            u32::try_from(messages.len() - 1).unwrap_or(u32::MAX)
        });
        RangeMessage::new(range, place)
    }

    pub fn finish(self) -> Vec<PlaceMessage> {
        self.messages
    }
}

fn place_message(place: Place) -> PlaceMessage {
    match place {
        Place::Segment(name) => {
            let unique = name.unique.as_bytes().to_vec();
            PlaceMessage { segment: Some(SegmentMessage { mark: name.mark, unique }), slot: None }
        }
        Place::Slot(at) => {
            let slot = SlotMessage {
                broker: at.chain.broker.0,
                epoch: at.chain.epoch.0,
                chain: at.chain.chain.0,
                slot: at.slot.0,
            };
            PlaceMessage { segment: None, slot: Some(slot) }
        }
    }
}

/// The table of places as it was read.
pub(crate) struct Places(Vec<Place>);

impl Places {
    pub fn check(messages: &[PlaceMessage]) -> Result<Self, ListError> {
        messages.iter().map(check_place).collect::<Result<_, _>>().map(Self)
    }

    /// Decodes ranges that follow one another, each beginning where the one before ended.
    pub fn ranges(&self, messages: &[RangeMessage]) -> Result<Vec<Range>, ListError> {
        let mut ranges: Vec<Range> = Vec::with_capacity(messages.len());
        for message in messages {
            let at = usize::try_from(message.place).unwrap_or(usize::MAX);
            let place = *self.0.get(at).ok_or(ListError::Field("a place that is not there"))?;
            let range = message.check(place)?;
            if ranges.last().is_some_and(|last| last.next_offset != range.base_offset) {
                return Err(ListError::Field("ranges that do not follow one another"));
            }
            ranges.push(range);
        }
        Ok(ranges)
    }
}

fn check_place(message: &PlaceMessage) -> Result<Place, ListError> {
    match (&message.segment, &message.slot) {
        (Some(segment), None) => {
            let unique = Uuid::from_slice(&segment.unique)
                .map_err(|_| ListError::Field("bad name of a segment"))?;
            Ok(Place::Segment(ObjectName { kind: ObjectKind::Segment, mark: segment.mark, unique }))
        }
        (None, Some(slot)) => {
            let chain = ChainRef {
                broker: BrokerId(slot.broker),
                epoch: BrokerEpoch(slot.epoch),
                chain: ChainId(slot.chain),
            };
            Ok(Place::Slot(chain.slot(SlotNumber(slot.slot))))
        }
        _ => Err(ListError::Field("a place that is neither a segment nor a slot")),
    }
}
