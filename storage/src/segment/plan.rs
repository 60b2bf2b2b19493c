//! Which batches go into which segment: a partition that has much gets segments of its own, the
//! others share by partition group.

use std::collections::BTreeMap;

use bytes::Bytes;
use odradek_common::ids::{GroupId, LeaderEpoch, TopicPartition};
use odradek_common::limits;

use super::batches::{BadBatches, Walk};
use super::write::WriteError;
use crate::range::Range;

/// Where batches are taken from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From memory, in order, in chunks that are cut anywhere: a batch's header and its records
    /// may lie apart.
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

/// A part of an input that fits a segment.
#[derive(Clone, Copy, Debug)]
struct Cut {
    base_offset: i64,
    next_offset: i64,
    bytes: u64,
}

/// Cuts an input into pieces that fit a segment each, and checks that it is what it announces.
fn cut(number: usize, input: Input) -> Result<Vec<Piece>, WriteError> {
    let Input { partition, group, leader_epoch, .. } = input;
    let wrong = |source| WriteError::Batches { partition, source };
    let (cuts, sources) = match input.source {
        Source::Batches(ref chunks) => {
            let cuts = cut_batches(&input, chunks).map_err(wrong)?;
            let sources = split(chunks, &cuts).into_iter().map(Source::Batches).collect();
            (cuts, sources)
        }
        Source::Slots(ref ranges) => cut_slots(&input, ranges).map_err(wrong)?,
    };
    let covered = cuts.last().map_or(input.base_offset, |cut| cut.next_offset);
    if covered != input.next_offset {
        return Err(wrong(BadBatches::Missing { from: covered, to: input.next_offset }));
    }
    let pieces = cuts.into_iter().zip(sources).map(|(cut, source)| Piece {
        input: number,
        partition,
        group,
        leader_epoch,
        base_offset: cut.base_offset,
        next_offset: cut.next_offset,
        bytes: cut.bytes,
        source,
    });
    Ok(pieces.collect())
}

/// Adds what follows to the last cut, or begins a new one; true if it did that.
fn extend(cuts: &mut Vec<Cut>, more: Cut) -> bool {
    match cuts.last_mut() {
        Some(last) if last.bytes + more.bytes <= limits::SEGMENT_BYTES => {
            last.next_offset = more.next_offset;
            last.bytes += more.bytes;
            false
        }
        _ => {
            cuts.push(more);
            true
        }
    }
}

fn cut_batches(input: &Input, chunks: &[Bytes]) -> Result<Vec<Cut>, BadBatches> {
    let mut cuts = Vec::new();
    let mut walk = Walk::new(input.base_offset, input.next_offset, chunks);
    while let Some(header) = walk.strict_header(input.leader_epoch)? {
        walk.pass(&header, |_| ())?;
        let (base_offset, next_offset) = (header.base_offset, header.next_offset());
        extend(&mut cuts, Cut { base_offset, next_offset, bytes: header.size_bytes() as u64 });
    }
    Ok(cuts)
}

/// The chunks of each cut.
fn split(chunks: &[Bytes], cuts: &[Cut]) -> Vec<Vec<Bytes>> {
    let mut chunks = chunks.iter().cloned();
    let mut rest = Bytes::new();
    let mut take = |cut: &Cut| {
        let mut taken = Vec::new();
        let mut missing = cut.bytes;
        while missing > 0 {
            if rest.is_empty() {
                let Some(next) = chunks.next() else { break };
                rest = next;
                continue;
            }
            let length = usize::try_from(missing).unwrap_or(usize::MAX).min(rest.len());
            taken.push(rest.split_to(length));
            missing -= length as u64;
        }
        taken
    };
    cuts.iter().map(&mut take).collect()
}

fn cut_slots(input: &Input, ranges: &[Range]) -> Result<(Vec<Cut>, Vec<Source>), BadBatches> {
    let mut cuts = Vec::new();
    let mut sources: Vec<Vec<Range>> = Vec::new();
    let mut covered = input.base_offset;
    for range in ranges {
        let (base_offset, next_offset) = (range.base_offset, range.next_offset);
        if base_offset != covered || next_offset <= covered {
            return Err(BadBatches::Missing { from: covered, to: base_offset });
        }
        covered = next_offset;
        let more = Cut { base_offset, next_offset, bytes: range.length };
        if extend(&mut cuts, more) {
            sources.push(Vec::new());
        }
        if let Some(last) = sources.last_mut() {
            last.push(*range);
        }
    }
    Ok((cuts, sources.into_iter().map(Source::Slots).collect()))
}
