//! Ranges as they stand in objects. A list names each object once, in a table of places, and its
//! ranges point into it: a flush of 256 partitions names one segment, not 256 times the same. The
//! ranges of a partition stand in columns of differences, some 20 bytes each.

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

/// A range in a segment's own footer; its place is the segment.
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
    #[prost(uint64, tag = "5")]
    pub position: u64,
    #[prost(uint64, tag = "6")]
    pub length: u64,
    #[prost(fixed32, tag = "7")]
    pub crc: u32,
    #[prost(uint64, tag = "8")]
    pub index_position: u64,
    #[prost(uint32, tag = "9")]
    pub index_length: u32,
}

/// Ranges that follow one another, column by column, all of the same length. What a range has in
/// common with the one before is 0.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RangesMessage {
    /// First offset of the first range.
    #[prost(int64, tag = "1")]
    pub base_offset: i64,
    /// Offsets in each range.
    #[prost(uint64, repeated, tag = "2")]
    pub offsets: Vec<u64>,
    /// Difference to the range before, or to 0.
    #[prost(sint64, repeated, tag = "3")]
    pub leader_epochs: Vec<i64>,
    /// Difference to the range before, or to 0.
    #[prost(sint64, repeated, tag = "4")]
    pub max_timestamps: Vec<i64>,
    /// Difference to the range before, or to 0.
    #[prost(sint64, repeated, tag = "5")]
    pub places: Vec<i64>,
    #[prost(uint64, repeated, tag = "6")]
    pub positions: Vec<u64>,
    #[prost(uint64, repeated, tag = "7")]
    pub lengths: Vec<u64>,
    #[prost(fixed32, repeated, tag = "8")]
    pub crcs: Vec<u32>,
    #[prost(uint32, repeated, tag = "9")]
    pub index_lengths: Vec<u32>,
    /// Bytes between the sparse index's end and the range's position; 0 if there is no index.
    #[prost(sint64, repeated, tag = "10")]
    pub index_gaps: Vec<i64>,
    /// Offset after the last one, which the others must add up to.
    #[prost(int64, tag = "11")]
    pub next_offset: i64,
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
    pub fn new(range: &Range) -> Self {
        Self {
            base_offset: range.base_offset,
            next_offset: range.next_offset,
            leader_epoch: range.leader_epoch.0,
            max_timestamp: range.max_timestamp,
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
    /// Ranges of one partition, each of which begins where the one before ended.
    pub fn ranges(&mut self, ranges: &[Range]) -> RangesMessage {
        let mut message = RangesMessage {
            base_offset: ranges.first().map_or(0, |range| range.base_offset),
            next_offset: ranges.last().map_or(0, |range| range.next_offset),
            ..RangesMessage::default()
        };
        let (mut leader_epoch, mut max_timestamp, mut place) = (0, 0, 0);
        for range in ranges {
            let here = self.place(range.place);
            let epoch_here = i64::from(range.leader_epoch.0);
            message.offsets.push(range.next_offset.wrapping_sub(range.base_offset).cast_unsigned());
            message.leader_epochs.push(epoch_here - leader_epoch);
            message.max_timestamps.push(range.max_timestamp.wrapping_sub(max_timestamp));
            message.places.push(here - place);
            message.positions.push(range.position);
            message.lengths.push(range.length);
            message.crcs.push(range.crc);
            message.index_lengths.push(range.index.1);
            message.index_gaps.push(index_gap(range));
            (leader_epoch, max_timestamp, place) = (epoch_here, range.max_timestamp, here);
        }
        message
    }

    fn place(&mut self, place: Place) -> i64 {
        let messages = &mut self.messages;
        let number = *self.known.entry(place).or_insert_with(|| {
            messages.push(place_message(place));
            u32::try_from(messages.len() - 1).unwrap_or(u32::MAX)
        });
        i64::from(number)
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

    /// Ranges that follow one another.
    pub fn ranges(&self, message: &RangesMessage) -> Result<Vec<Range>, ListError> {
        let count = message.offsets.len();
        let lengths = [
            message.leader_epochs.len(),
            message.max_timestamps.len(),
            message.places.len(),
            message.positions.len(),
            message.lengths.len(),
            message.crcs.len(),
            message.index_lengths.len(),
            message.index_gaps.len(),
        ];
        if lengths.iter().any(|length| *length != count) {
            return Err(ListError::Field("columns of different lengths"));
        }
        let mut ranges: Vec<Range> = Vec::with_capacity(count);
        let (mut base_offset, mut leader_epoch, mut max_timestamp, mut place) =
            (message.base_offset, 0i64, 0i64, 0i64);
        for i in 0..count {
            leader_epoch = leader_epoch.wrapping_add(message.leader_epochs[i]);
            max_timestamp = max_timestamp.wrapping_add(message.max_timestamps[i]);
            place = place.wrapping_add(message.places[i]);
            let (position, index_length) = (message.positions[i], message.index_lengths[i]);
            let range = Range {
                base_offset,
                next_offset: base_offset
                    .checked_add_unsigned(message.offsets[i])
                    .ok_or(ListError::Field("an offset past 64 bits"))?,
                leader_epoch: LeaderEpoch(
                    i32::try_from(leader_epoch)
                        .map_err(|_| ListError::Field("a leader epoch past 32 bits"))?,
                ),
                max_timestamp,
                place: self.get(place)?,
                position,
                length: message.lengths[i],
                crc: message.crcs[i],
                index: index_at(position, index_length, message.index_gaps[i])?,
            };
            range.check()?;
            base_offset = range.next_offset;
            ranges.push(range);
        }
        if base_offset != message.next_offset {
            return Err(ListError::Field("ranges that do not follow one another"));
        }
        Ok(ranges)
    }

    fn get(&self, number: i64) -> Result<Place, ListError> {
        let place = usize::try_from(number).ok().and_then(|number| self.0.get(number));
        place.copied().ok_or(ListError::Field("a place that is not there"))
    }
}

fn index_gap(range: &Range) -> i64 {
    match range.index {
        (_, 0) => 0,
        (position, length) => {
            let end = position.wrapping_add(u64::from(length));
            range.position.wrapping_sub(end).cast_signed()
        }
    }
}

fn index_at(position: u64, length: u32, gap: i64) -> Result<(u64, u32), ListError> {
    if length == 0 {
        return Ok((0, 0));
    }
    let end = position.checked_add_signed(gap.checked_neg().unwrap_or(i64::MAX));
    let start = end.and_then(|end| end.checked_sub(u64::from(length)));
    start.map(|start| (start, length)).ok_or(ListError::Field("a sparse index outside the object"))
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
