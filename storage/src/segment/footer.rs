//! A segment's footer: what lies in it, for tools that have nothing but the segment.

use bytes::Bytes;
use odradek_common::ids::{GroupId, TopicPartition};
use uuid::Uuid;

use crate::envelope::Kind;
use crate::names::{ObjectKind, ObjectName};
use crate::range::message::{ListError, PartitionMessage, RangeMessage};
use crate::range::{Place, Range};

/// How segments are marked.
pub const SEGMENT_KIND: Kind = Kind { name: "segment", magic: *b"ODsg", version: 1 };

/// A range and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FooterRange {
    /// The partition.
    pub partition: TopicPartition,
    /// Its group.
    pub group: GroupId,
    /// The range; its place is the segment.
    pub range: Range,
}

/// A segment's footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFooter {
    /// The segment's name, birth mark included.
    pub name: ObjectName,
    /// Its ranges, in order of position.
    pub ranges: Vec<FooterRange>,
}

impl SegmentFooter {
    /// As bytes, to stand at the end of the segment.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let ranges = self.ranges.iter().map(|held| HeldMessage {
            partition: Some(PartitionMessage::new(held.partition, held.group)),
            range: Some(RangeMessage::new(&held.range)),
        });
        let message = FooterMessage {
            mark: self.name.mark,
            unique: self.name.unique.as_bytes().to_vec(),
            ranges: ranges.collect(),
        };
        SEGMENT_KIND.seal_footer(&prost::Message::encode_to_vec(&message))
    }

    /// From the end of a segment of `segment_bytes`, at least as much of it as
    /// [`Kind::footer_bytes`] says.
    ///
    /// # Errors
    /// If it is not a well-formed footer of a version known here, or lies about what is in front
    /// of it.
    pub fn decode(end_of_segment: &Bytes, segment_bytes: u64) -> Result<Self, ListError> {
        let footer_bytes = SEGMENT_KIND.footer_bytes(end_of_segment)?;
        let message: FooterMessage =
            SEGMENT_KIND.decode(SEGMENT_KIND.open_footer(end_of_segment)?)?;
        let unique = Uuid::from_slice(&message.unique)
            .map_err(|_| ListError::Field("bad name of a segment"))?;
        let name = ObjectName { kind: ObjectKind::Segment, mark: message.mark, unique };
        let mut end = 0;
        let mut ranges = Vec::with_capacity(message.ranges.len());
        for held in message.ranges {
            let held = check_held(held, name)?;
            let start =
                if held.range.index.1 > 0 { held.range.index.0 } else { held.range.position };
            if start < end || held.range.position < start {
                return Err(ListError::Field("ranges out of order"));
            }
            end = held.range.end_position();
            ranges.push(held);
        }
        if end.checked_add(footer_bytes).is_none_or(|end| end > segment_bytes) {
            return Err(ListError::Field("ranges past the end"));
        }
        Ok(Self { name, ranges })
    }
}

fn check_held(message: HeldMessage, name: ObjectName) -> Result<FooterRange, ListError> {
    let partition = message.partition.ok_or(ListError::Field("a range without a partition"))?;
    let (partition, group) = partition.check()?;
    let range = message.range.ok_or(ListError::Field("a partition without a range"))?;
    Ok(FooterRange { partition, group, range: range.check(Place::Segment(name))? })
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct FooterMessage {
    #[prost(uint64, tag = "1")]
    mark: u64,
    #[prost(bytes = "vec", tag = "2")]
    unique: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    ranges: Vec<HeldMessage>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct HeldMessage {
    #[prost(message, optional, tag = "1")]
    partition: Option<PartitionMessage>,
    #[prost(message, optional, tag = "2")]
    range: Option<RangeMessage>,
}
