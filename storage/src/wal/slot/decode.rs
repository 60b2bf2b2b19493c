//! Reading slots and seals. Nothing here trusts a length, and nothing panics.

use bytes::{Buf, Bytes};
use odradek_common::batch::crc32c;
use odradek_common::ids::{ClusterId, TopicId, TopicPartition};
use odradek_common::limits::SLOT_FOOTER_BYTES;

use super::{FOOTER, Footer, FormatError, Header, PREDECESSOR, SEAL, Seal};
use crate::envelope::OVERHEAD_BYTES;
use crate::names::SlotRef;

/// Bytes at an object's start that hold the header of any slot, and the whole of any seal.
pub const HEAD_READ_BYTES: u64 = 512;
/// Bytes at an object's end that hold most footers; for a longer one [`Tail::More`] says how much.
pub const TAIL_READ_BYTES: u64 = 64 << 10;
/// Bytes of a partition in a slot's list.
pub(super) const PARTITION_BYTES: usize = 20;

/// What an object's start says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A slot.
    Slot(Header),
    /// A seal.
    Seal(Seal),
}

/// What an object's end says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// A slot.
    Slot(Footer),
    /// A seal.
    Seal(Seal),
    /// A slot whose footer takes this many bytes at the end, more than were read.
    More(u64),
}

/// The list of the partitions of a slot's predecessor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predecessors {
    /// The list.
    List(Vec<TopicPartition>),
    /// The list ends this many bytes after the slot's start, which is more than were read.
    More(u64),
}

/// Reads the first bytes of the object at `at`: [`HEAD_READ_BYTES`] of them, or all.
///
/// # Errors
/// It is neither slot nor seal, damaged, too new, or of another place.
pub fn decode_head(start: &Bytes, cluster: &ClusterId, at: SlotRef) -> Result<Head, FormatError> {
    if start.starts_with(&SEAL.magic) {
        return decode_seal(start, cluster, at).map(Head::Seal);
    }
    let header = Header::decode(&first_envelope(start))?;
    header.expect(cluster, at)?;
    Ok(Head::Slot(header))
}

/// Reads the last bytes of the object at `at`, which is `length` long: [`TAIL_READ_BYTES`] of
/// them, what [`Tail::More`] asked for, or all.
///
/// # Errors
/// It is neither slot nor seal, damaged, too new, or of another place.
pub fn decode_tail(
    end: &Bytes,
    length: u64,
    cluster: &ClusterId,
    at: SlotRef,
) -> Result<Tail, FormatError> {
    let got = size(end.len());
    if got == length && end.starts_with(&SEAL.magic) {
        return decode_seal(end, cluster, at).map(Tail::Seal);
    }
    let footer_bytes = FOOTER.footer_bytes(end)?;
    let Some(blocks_end) = length.checked_sub(footer_bytes) else {
        return Err(FormatError::Malformed("a footer longer than its slot"));
    };
    if footer_bytes > SLOT_FOOTER_BYTES {
        return Err(FormatError::Malformed("a footer over the limit"));
    }
    if footer_bytes > got {
        return Ok(Tail::More(footer_bytes));
    }
    Footer::decode(FOOTER.open_footer(end)?, cluster, at, blocks_end).map(Tail::Slot)
}

/// Reads from the first bytes of the slot at `at` which partitions its predecessor held.
///
/// # Errors
/// Header or list are damaged, too new, or of another place.
pub fn decode_predecessors(
    start: &Bytes,
    cluster: &ClusterId,
    at: SlotRef,
) -> Result<Predecessors, FormatError> {
    let Head::Slot(_) = decode_head(start, cluster, at)? else {
        return Err(FormatError::Malformed("a seal has no list of partitions"));
    };
    let list_start = first_envelope(start).len();
    let list = start.slice(list_start..);
    let Some(list_bytes) = envelope_bytes(&list) else {
        return Ok(Predecessors::More(size(list_start + OVERHEAD_BYTES)));
    };
    if list_bytes > list.len() {
        let end = size(list_start).saturating_add(size(list_bytes));
        return if end <= SLOT_FOOTER_BYTES {
            Ok(Predecessors::More(end))
        } else {
            Err(FormatError::Malformed("a list of partitions over the limit"))
        };
    }
    let opened = PREDECESSOR.open(&list.slice(..list_bytes))?;
    let (partitions, rest) = opened.payload.as_chunks::<PARTITION_BYTES>();
    if !rest.is_empty() {
        return Err(FormatError::Malformed("length of the list of partitions"));
    }
    let partitions: Option<Vec<_>> = partitions.iter().map(partition).collect();
    partitions.map(Predecessors::List).ok_or(FormatError::Malformed("list of partitions"))
}

/// Reads a slot of which all bytes are at hand, and checks every one of them.
///
/// # Errors
/// The first thing found wrong.
pub fn decode_whole(
    slot: &Bytes,
    cluster: &ClusterId,
    at: SlotRef,
) -> Result<(Header, Footer), FormatError> {
    let Head::Slot(header) = decode_head(slot, cluster, at)? else {
        return Err(FormatError::Malformed("a seal in a slot's place"));
    };
    if header.length != size(slot.len()) {
        return Err(FormatError::Malformed("the slot is cut"));
    }
    let Predecessors::List(_) = decode_predecessors(slot, cluster, at)? else {
        return Err(FormatError::Malformed("the list of partitions is cut"));
    };
    let Tail::Slot(footer) = decode_tail(slot, header.length, cluster, at)? else {
        return Err(FormatError::Malformed("the footer is cut"));
    };
    if footer.nonce != header.nonce || Footer::crc(slot) != header.crc {
        return Err(FormatError::Malformed("header and footer of different slots"));
    }
    for block in &footer.blocks {
        let start = usize::try_from(block.position).unwrap_or(usize::MAX);
        let end =
            usize::try_from(block.position.saturating_add(block.length)).unwrap_or(usize::MAX);
        if slot.get(start..end).map(crc32c) != Some(block.crc) {
            return Err(FormatError::Malformed("a block's CRC-32C"));
        }
    }
    Ok((header, footer))
}

fn decode_seal(start: &Bytes, cluster: &ClusterId, at: SlotRef) -> Result<Seal, FormatError> {
    let seal = Seal::decode(&first_envelope(start))?;
    seal.expect(cluster, at)?;
    Ok(seal)
}

/// The envelope that `bytes` begin with, as long as it says it is and as far as there are bytes.
fn first_envelope(bytes: &Bytes) -> Bytes {
    let length = envelope_bytes(bytes).unwrap_or(usize::MAX);
    bytes.slice(..length.min(bytes.len()))
}

/// How many bytes the envelope says it has that `bytes` begin with.
fn envelope_bytes(bytes: &Bytes) -> Option<usize> {
    let mut length = bytes.get(6..10)?;
    let payload = usize::try_from(length.get_u32()).ok()?;
    payload.checked_add(OVERHEAD_BYTES)
}

fn partition(bytes: &[u8; PARTITION_BYTES]) -> Option<TopicPartition> {
    let (topic, number) = bytes.split_first_chunk::<16>()?;
    let partition = i32::from_be_bytes(number.try_into().ok()?);
    let topic = TopicId::from_slice(topic)?;
    (partition >= 0).then_some(TopicPartition { topic, partition })
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
