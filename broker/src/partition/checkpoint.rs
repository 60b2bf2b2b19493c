//! The producer state of a partition as it is stored with a flushed range: the state at exactly
//! the range's end, so that a later owner starts from it and the footers of newer slots.

use odradek_storage::wal::ProducerBatch;
use prost::Message;

use super::producers::Producers;

const VERSION: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct CheckpointProto {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, repeated, tag = "2")]
    batches: Vec<BatchProto>,
}

#[derive(Clone, PartialEq, Message)]
struct BatchProto {
    #[prost(sint64, tag = "1")]
    producer_id: i64,
    #[prost(sint32, tag = "2")]
    epoch: i32,
    #[prost(sint32, tag = "3")]
    first_sequence: i32,
    #[prost(sint32, tag = "4")]
    last_sequence: i32,
    #[prost(sint64, tag = "5")]
    base_offset: i64,
    #[prost(sint64, tag = "6")]
    last_offset: i64,
    #[prost(sint64, tag = "7")]
    timestamp: i64,
    /// When the producer was seen last.
    #[prost(sint64, tag = "8")]
    seen_ms: i64,
}

/// A checkpoint that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not the bytes of a checkpoint.
    #[error("checkpoint is malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Written by a newer release.
    #[error("checkpoint has version {0}; this release reads up to {VERSION}")]
    Newer(u32),
    /// A producer epoch that does not fit.
    #[error("checkpoint has the producer epoch {0}")]
    Epoch(i32),
}

/// Writes the state; an empty one is an empty string of bytes.
#[must_use]
pub fn encode(producers: &Producers) -> Vec<u8> {
    if producers.is_empty() {
        return Vec::new();
    }
    let batches = producers.batches().map(|(b, seen_ms)| BatchProto {
        producer_id: b.producer_id,
        epoch: b.producer_epoch.into(),
        first_sequence: b.first_sequence,
        last_sequence: b.last_sequence,
        base_offset: b.base_offset,
        last_offset: b.last_offset,
        timestamp: b.max_timestamp,
        seen_ms,
    });
    CheckpointProto { version: VERSION, batches: batches.collect() }.encode_to_vec()
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// If the bytes are no checkpoint, or one of a newer release.
pub fn decode(bytes: &[u8]) -> Result<Producers, CheckpointError> {
    let mut producers = Producers::default();
    if bytes.is_empty() {
        return Ok(producers);
    }
    let proto = CheckpointProto::decode(bytes)?;
    if proto.version > VERSION {
        return Err(CheckpointError::Newer(proto.version));
    }
    for b in proto.batches {
        let batch = ProducerBatch {
            producer_id: b.producer_id,
            producer_epoch: i16::try_from(b.epoch).map_err(|_| CheckpointError::Epoch(b.epoch))?,
            first_sequence: b.first_sequence,
            last_sequence: b.last_sequence,
            base_offset: b.base_offset,
            last_offset: b.last_offset,
            max_timestamp: b.timestamp,
        };
        producers.append(batch, None, b.seen_ms);
    }
    Ok(producers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_a_newer_version() {
        let mut producers = Producers::default();
        for i in 0..7 {
            let batch = ProducerBatch {
                producer_id: i % 2,
                producer_epoch: 3,
                first_sequence: i32::try_from(i / 2).unwrap(),
                last_sequence: i32::try_from(i / 2).unwrap(),
                base_offset: i,
                last_offset: i,
                max_timestamp: 9,
            };
            producers.append(batch, None, 70 + i);
        }
        let mut decoded = decode(&encode(&producers)).unwrap();
        assert_eq!(decoded, producers);
        // They were seen last at 75 and 76.
        decoded.expire(80, 5);
        assert_eq!([0, 1].map(|id| decoded.knows(id)), [true, false]);
        let newer = CheckpointProto { version: 2, batches: vec![] }.encode_to_vec();
        assert!(matches!(decode(&newer), Err(CheckpointError::Newer(2))));
        assert!(decode(&[0xff; 9]).is_err());
    }
}
