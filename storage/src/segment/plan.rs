//! Which batches go into which segment: a partition that has much gets segments of its own, the
//! others share by partition group.

use std::collections::BTreeMap;

use bytes::Bytes;
use odradek_common::ids::{GroupId, LeaderEpoch, TopicPartition};
use odradek_common::limits;

use super::batches::{BadBatches, StrictWalk};
use super::write::WriteError;
use crate::range::Range;

/// Where batches are taken from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From memory, in order. Each `Bytes` holds one or more whole batches.
    Batches(Vec<Bytes>),
    /// From slots, as the cache had to let go, in order.
    Slots(Vec<Range>),
}

/// What is to be written of one partition: exactly `base_offset..next_offset`.
#[derive(Clone, Debug)]
pub struct Input {
    /// The partition.
    pub partition: TopicPartition,
    /// Its group.
    pub group: GroupId,
    /// The highest leader epoch that a batch may have.
    pub leader_epoch: LeaderEpoch,
    /// Its first offset.
    pub base_offset: i64,
    /// The offset after its last.
    pub next_offset: i64,
    /// The batches.
    pub source: Source,
}

/// A part of an input that goes into one segment.
#[derive(Debug)]
pub(super) struct Piece {
    /// Which input.
    pub input: usize,
    pub partition: TopicPartition,
    pub group: GroupId,
    pub leader_epoch: LeaderEpoch,
    pub base_offset: i64,
    pub next_offset: i64,
    pub bytes: u64,
    pub source: Source,
}

/// Which pieces go into which segment.
pub(super) fn plan(inputs: Vec<Input>) -> Result<Vec<Vec<Piece>>, WriteError> {
    let mut full: Vec<Vec<Piece>> = Vec::new();
    let mut shared: BTreeMap<GroupId, (u64, Vec<Piece>)> = BTreeMap::new();
    for (number, input) in inputs.into_iter().enumerate() {
        let pieces = cut(number, input)?;
        if pieces.iter().map(|piece| piece.bytes).sum::<u64>() >= limits::OWN_SEGMENT_BYTES {
            full.extend(pieces.into_iter().map(|piece| vec![piece]));
            continue;
        }
        for piece in pieces {
            let (bytes, open) = shared.entry(piece.group).or_default();
            if *bytes + piece.bytes > limits::SEGMENT_BYTES {
                full.push(std::mem::take(open));
                *bytes = 0;
            }
            *bytes += piece.bytes;
            open.push(piece);
        }
    }
    full.extend(shared.into_values().map(|(_, pieces)| pieces));
    Ok(full)
}

/// Cuts an input into pieces that fit a segment each, and checks that it is what it announces.
fn cut(number: usize, input: Input) -> Result<Vec<Piece>, WriteError> {
    let Input { partition, group, leader_epoch, base_offset, next_offset, source } = input;
    let mut pieces = Pieces { done: Vec::new(), open: None };
    let piece = |base_offset, next_offset, bytes, source| Piece {
        input: number,
        partition,
        group,
        leader_epoch,
        base_offset,
        next_offset,
        bytes,
        source,
    };
    let wrong = |source| WriteError::Batches { partition, source };
    let mut covered = base_offset;
    match source {
        Source::Batches(chunks) => {
            for chunk in chunks {
                let mut walk = StrictWalk::new(covered, next_offset, leader_epoch);
                let mut rest = chunk;
                while !rest.is_empty() {
                    let (from, run) = (walk.expected(), walk.run(&mut rest, pieces.room()));
                    let run = run.map_err(wrong)?;
                    let bytes = run.len() as u64;
                    let source = Source::Batches(vec![run]);
                    pieces.push(piece(from, walk.expected(), bytes, source));
                }
                covered = walk.expected();
            }
        }
        Source::Slots(ranges) => {
            for range in ranges {
                if range.base_offset != covered || range.next_offset <= covered {
                    let (from, to) = (covered, range.base_offset);
                    return Err(wrong(BadBatches::Missing { from, to }));
                }
                covered = range.next_offset;
                let source = Source::Slots(vec![range]);
                pieces.push(piece(range.base_offset, covered, range.length, source));
            }
        }
    }
    if covered != next_offset {
        return Err(wrong(BadBatches::Missing { from: covered, to: next_offset }));
    }
    Ok(pieces.finish())
}

/// Pieces of one input, the last of which may still grow.
struct Pieces {
    done: Vec<Piece>,
    open: Option<Piece>,
}

impl Pieces {
    /// Bytes that still fit into the last piece.
    fn room(&self) -> u64 {
        let used = self.open.as_ref().map_or(0, |open| open.bytes);
        match limits::SEGMENT_BYTES.saturating_sub(used) {
            0 => limits::SEGMENT_BYTES,
            room => room,
        }
    }

    fn push(&mut self, more: Piece) {
        match &mut self.open {
            Some(open) if open.bytes + more.bytes <= limits::SEGMENT_BYTES => {
                open.next_offset = more.next_offset;
                open.bytes += more.bytes;
                match (&mut open.source, more.source) {
                    (Source::Batches(open), Source::Batches(more)) => open.extend(more),
                    (Source::Slots(open), Source::Slots(more)) => open.extend(more),
                    _ => unreachable!("the pieces of an input have its kind of source"),
                }
            }
            open => self.done.extend(open.replace(more)),
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        self.done.extend(self.open);
        self.done
    }
}
