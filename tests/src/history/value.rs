//! Values that say themselves who sent them, so that any record can be judged by itself.
//!
//! Layout, numbers little-endian: magic (4 bytes), producer (u32), topic (u32), partition (i32),
//! sequence (u64), padding, CRC-32C of all before (u32).

use std::fmt;

use super::Place;

const MAGIC: &[u8; 4] = b"ODRV";
const HEAD_BYTES: usize = 24;
const CRC_BYTES: usize = 4;

/// Which value it is: the `sequence`-th that a producer sent to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId {
    /// The producer.
    pub producer: u32,
    /// Where to.
    pub place: Place,
    /// Counts what the producer sent there.
    pub sequence: u64,
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "value {} of producer {} for {}", self.sequence, self.producer, self.place)
    }
}

/// A value with its checksum: two with the same stamp hold the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which it is.
    pub id: ValueId,
    /// The CRC-32C of its bytes.
    pub crc: u32,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:08x})", self.id, self.crc)
    }
}

/// What a record's value turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A whole value.
    Value(Stamp),
    /// Bytes that are no value, or not all of one.
    Damaged,
}

impl ValueId {
    /// The bytes of the value, and their stamp.
    #[must_use]
    pub fn encode(self, padding: &[u8]) -> (Vec<u8>, Stamp) {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + padding.len() + CRC_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.producer.to_le_bytes());
        bytes.extend_from_slice(&self.place.topic.to_le_bytes());
        bytes.extend_from_slice(&self.place.partition.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(padding);
        let crc = crc(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        (bytes, Stamp { id: self, crc })
    }
}

impl Content {
    /// Reads a record's value.
    #[must_use]
    pub fn decode(value: Option<&[u8]>) -> Self {
        value.and_then(stamp).map_or(Self::Damaged, Self::Value)
    }
}

fn stamp(bytes: &[u8]) -> Option<Stamp> {
    let (body, stored) = bytes.split_last_chunk::<CRC_BYTES>()?;
    let crc = crc(body);
    let rest = body.strip_prefix(MAGIC)?;
    if u32::from_le_bytes(*stored) != crc {
        return None;
    }
    let (producer, rest) = rest.split_first_chunk::<4>()?;
    let (topic, rest) = rest.split_first_chunk::<4>()?;
    let (partition, rest) = rest.split_first_chunk::<4>()?;
    let (sequence, _padding) = rest.split_first_chunk::<8>()?;
    let topic = u32::from_le_bytes(*topic);
    let place = Place { topic, partition: i32::from_le_bytes(*partition) };
    let producer = u32::from_le_bytes(*producer);
    Some(Stamp { id: ValueId { producer, place, sequence: u64::from_le_bytes(*sequence) }, crc })
}

fn crc(bytes: &[u8]) -> u32 {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_and_no_damage_goes_unseen() {
        let place = Place { topic: 1, partition: 2 };
        let id = ValueId { producer: 3, place, sequence: 4 };
        let (bytes, stamp) = id.encode(b"padding");
        assert_eq!(Content::decode(Some(&bytes)), Content::Value(stamp));
        assert_eq!(stamp.id, id);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Content::decode(Some(&damaged)), Content::Damaged, "byte {at}");
            assert_eq!(Content::decode(Some(&bytes[..at])), Content::Damaged, "cut at {at}");
        }
        assert_eq!(Content::decode(None), Content::Damaged);
    }
}
