//! Building a segment as a list of chunks: the batches' bytes are not copied, but for small chunks,
//! which cost more one by one.

use bytes::{Bytes, BytesMut};
use object_store::PutPayload;
use odradek_common::ids::{GroupId, LeaderEpoch, TopicPartition};
use odradek_common::limits;

use super::batches::{BadBatches, Walk};
use super::footer::{FooterRange, SegmentFooter};
use super::sparse::{StretchBuilder, Stretches};
use crate::names::ObjectName;
use crate::range::{Place, Range};

/// A segment that is being put together.
#[derive(Debug)]
pub struct SegmentBuilder {
    name: ObjectName,
    chunks: Vec<Bytes>,
    /// Small chunks that follow the last.
    small: BytesMut,
    position: u64,
    ranges: Vec<FooterRange>,
}

/// A segment ready to be created.
#[derive(Debug)]
pub struct WrittenSegment {
    /// Its name.
    pub name: ObjectName,
    /// Its bytes.
    pub payload: PutPayload,
    /// What lies in it, in the order in which it was added.
    pub ranges: Vec<FooterRange>,
}

/// What the batches of a range say about it.
struct Surveyed {
    leader_epoch: LeaderEpoch,
    stretches: Stretches,
    crc: u32,
}

impl SegmentBuilder {
    /// An empty segment with the name `name`.
    #[must_use]
    pub fn new(name: ObjectName) -> Self {
        let (chunks, ranges) = (Vec::new(), Vec::new());
        Self { name, chunks, small: BytesMut::new(), position: 0, ranges }
    }

    /// Adds the batches that lie in `chunks`, cut anywhere, as one range that covers `base_offset..next_offset`. The batches' offsets rise and lie within; where they
    /// leave some out, compaction has emptied them. Without a batch nothing is added.
    ///
    /// # Errors
    /// If the bytes are not such batches; nothing is added then.
    pub fn add(
        &mut self,
        partition: TopicPartition,
        group: GroupId,
        base_offset: i64,
        next_offset: i64,
        chunks: Vec<Bytes>,
    ) -> Result<(), BadBatches> {
        let Some(surveyed) = survey(base_offset, next_offset, &chunks)? else { return Ok(()) };
        let index = surveyed.stretches.encode();
        let index_length = u32::try_from(index.len()).unwrap_or(u32::MAX);
        let index_at = if index.is_empty() { (0, 0) } else { (self.position, index_length) };
        self.push(index);
        let position = self.position;
        for chunk in chunks {
            self.push(chunk);
        }
        let max_timestamp =
            surveyed.stretches.all().iter().map(|stretch| stretch.max_timestamp).max();
        let range = Range {
            base_offset,
            next_offset,
            leader_epoch: surveyed.leader_epoch,
            max_timestamp: max_timestamp.unwrap_or(-1),
            place: Place::Segment(self.name),
            position,
            length: self.position - position,
            crc: surveyed.crc,
            index: index_at,
        };
        self.ranges.push(FooterRange { partition, group, range });
        Ok(())
    }

    fn push(&mut self, chunk: Bytes) {
        self.position += chunk.len() as u64;
        if chunk.len() < limits::COPIED_CHUNK_BYTES {
            self.small.extend_from_slice(&chunk);
        } else {
            self.end_small();
            self.chunks.push(chunk);
        }
    }

    fn end_small(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push(self.small.split().freeze());
        }
    }

    /// Puts the footer at the end.
    #[must_use]
    pub fn finish(mut self) -> WrittenSegment {
        self.end_small();
        let footer = SegmentFooter { name: self.name, ranges: self.ranges };
        self.chunks.push(footer.encode());
        let payload = self.chunks.into_iter().collect();
        WrittenSegment { name: self.name, payload, ranges: footer.ranges }
    }
}

fn survey(
    base_offset: i64,
    next_offset: i64,
    chunks: &[Bytes],
) -> Result<Option<Surveyed>, BadBatches> {
    let mut stretches = StretchBuilder::default();
    let mut leader_epoch = None;
    let mut walk = Walk::new(base_offset, next_offset, chunks);
    while let Some(header) = walk.header()? {
        leader_epoch.get_or_insert(LeaderEpoch(header.leader_epoch));
        stretches.batch(&header);
        walk.pass(&header, |bytes| stretches.bytes(bytes))?;
    }
    let Some(((stretches, crc), leader_epoch)) = stretches.finish().zip(leader_epoch) else {
        return Ok(None);
    };
    Ok(Some(Surveyed { leader_epoch, stretches, crc }))
}
