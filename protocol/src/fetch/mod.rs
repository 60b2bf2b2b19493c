//! Fetch answers without a copy of their records: the frame is a list of chunks in which the
//! record bytes are those that were passed in, for a vectored write.

use crate::StrBytes;
use crate::response::{EncodeError, frame_length, put_header};
use crate::versions;
use crate::wire::put_uvarint;
use bytes::{BufMut, Bytes};
use kafka_protocol::messages::ApiKey;
use odradek_common::ids::TopicId;

/// No preferred read replica (KIP-392): read on from whom you asked.
pub const NO_PREFERRED_REPLICA: i32 = -1;

/// First version with an error code and a session for the whole answer (KIP-227).
const SESSIONS_SINCE: i16 = 7;
const LOG_START_SINCE: i16 = 5;
const PREFERRED_REPLICA_SINCE: i16 = 11;
/// First version with tagged fields: diverging epoch and current leader among them.
const FLEXIBLE_SINCE: i16 = 12;
const TOPIC_ID_SINCE: i16 = 13;
const NODE_ENDPOINTS_SINCE: i16 = 16;

/// A fetch answer. What a version does not have is left out of its encoding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchAnswer {
    /// How long the client was throttled, in ms.
    pub throttle_time_ms: i32,
    /// The error of the answer as a whole, 0 for none.
    pub error_code: i16,
    /// The fetch session (KIP-227), 0 for none.
    pub session_id: i32,
    /// The topics.
    pub topics: Vec<TopicAnswer>,
    /// Where the current leaders named in the partitions are (KIP-951).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// A topic of a fetch answer: both name and id, of which the version decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicAnswer {
    /// The name, up to version 12.
    pub name: StrBytes,
    /// The id (KIP-516), from version 13 on.
    pub id: Option<TopicId>,
    /// The partitions.
    pub partitions: Vec<PartitionAnswer>,
}

/// A partition of a fetch answer.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionAnswer {
    /// The partition.
    pub partition: i32,
    /// Its error, 0 for none.
    pub error_code: i16,
    /// The high watermark, -1 if not known.
    pub high_watermark: i64,
    /// The last stable offset, -1 if not known.
    pub last_stable_offset: i64,
    /// The log start offset, -1 if not known.
    pub log_start_offset: i64,
    /// Where the log diverged from what the client has seen (KIP-595).
    pub diverging_epoch: Option<EpochEnd>,
    /// The leader, with the errors that say it is another (KIP-951).
    pub current_leader: Option<CurrentLeader>,
    /// Aborted transactions among the records, `None` (null) for read_uncommitted.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Whom to read from better, [`NO_PREFERRED_REPLICA`] for none.
    pub preferred_read_replica: i32,
    /// Record batches, one behind the other over all chunks.
    pub records: Vec<Bytes>,
}

impl Default for PartitionAnswer {
    fn default() -> Self {
        Self {
            partition: 0,
            error_code: 0,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: NO_PREFERRED_REPLICA,
            records: Vec::new(),
        }
    }
}

/// An aborted transaction that records of the answer belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer_id: i64,
    /// The transaction's first offset in the partition.
    pub first_offset: i64,
}

/// The end of a leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: i32,
    /// The offset behind its last record.
    pub end_offset: i64,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLeader {
    /// The broker, -1 if not known.
    pub leader_id: i32,
    /// The leader epoch, -1 if not known.
    pub leader_epoch: i32,
}

/// Where a broker is to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// The broker.
    pub node_id: i32,
    /// Its host, of at most 32,767 bytes.
    pub host: StrBytes,
    /// Its port.
    pub port: i32,
    /// Its rack.
    pub rack: Option<StrBytes>,
}

/// A frame in chunks, its length in front.
#[derive(Clone, Debug, Default)]
pub struct VectoredFrame {
    /// The chunks, to be written in order; none is empty.
    pub chunks: Vec<Bytes>,
    /// The bytes of all chunks together.
    pub size_bytes: usize,
}

impl From<Bytes> for VectoredFrame {
    fn from(frame: Bytes) -> Self {
        Self { size_bytes: frame.len(), chunks: vec![frame] }
    }
}

/// Encodes the answer to a fetch request of `version` as a frame.
///
/// # Errors
/// [`EncodeError::NotServed`], or [`EncodeError::TooLong`] for an answer of 2 GiB or more.
pub fn encode(
    version: i16,
    correlation_id: i32,
    answer: &FetchAnswer,
) -> Result<VectoredFrame, EncodeError> {
    if !versions::is_served(ApiKey::Fetch, version) {
        return Err(EncodeError::NotServed { api: ApiKey::Fetch, version });
    }
    let mut out = Encoder { version, bytes: Vec::new(), splices: Vec::new(), spliced_bytes: 0 };
    out.bytes.put_i32(0);
    put_header(&mut out.bytes, ApiKey::Fetch, version, correlation_id);
    out.answer(answer)?;
    out.finish()
}

/// Writes everything but the records into `bytes` and notes where these belong.
struct Encoder<'a> {
    version: i16,
    bytes: Vec<u8>,
    /// Records, and how many of `bytes` stand in front of them.
    splices: Vec<(usize, &'a [Bytes])>,
    spliced_bytes: usize,
}

impl<'a> Encoder<'a> {
    fn flexible(&self) -> bool {
        self.version >= FLEXIBLE_SINCE
    }

    fn answer(&mut self, answer: &'a FetchAnswer) -> Result<(), EncodeError> {
        self.bytes.put_i32(answer.throttle_time_ms);
        if self.version >= SESSIONS_SINCE {
            self.bytes.put_i16(answer.error_code);
            self.bytes.put_i32(answer.session_id);
        }
        self.count(answer.topics.len())?;
        for topic in &answer.topics {
            self.topic(topic)?;
        }
        if self.flexible() {
            let endpoints =
                self.version >= NODE_ENDPOINTS_SINCE && !answer.node_endpoints.is_empty();
            put_uvarint(&mut self.bytes, u32::from(endpoints));
            if endpoints {
                let field = self.node_endpoints(&answer.node_endpoints)?;
                self.tagged_field(0, &field)?;
            }
        }
        Ok(())
    }

    fn topic(&mut self, topic: &'a TopicAnswer) -> Result<(), EncodeError> {
        if self.version >= TOPIC_ID_SINCE {
            self.bytes.put_slice(topic.id.unwrap_or(TopicId::NIL).as_bytes());
        } else {
            self.string(&topic.name)?;
        }
        self.count(topic.partitions.len())?;
        for partition in &topic.partitions {
            self.partition(partition)?;
        }
        self.no_tags();
        Ok(())
    }

    fn partition(&mut self, partition: &'a PartitionAnswer) -> Result<(), EncodeError> {
        self.bytes.put_i32(partition.partition);
        self.bytes.put_i16(partition.error_code);
        self.bytes.put_i64(partition.high_watermark);
        self.bytes.put_i64(partition.last_stable_offset);
        if self.version >= LOG_START_SINCE {
            self.bytes.put_i64(partition.log_start_offset);
        }
        self.aborted(partition.aborted_transactions.as_deref())?;
        if self.version >= PREFERRED_REPLICA_SINCE {
            self.bytes.put_i32(partition.preferred_read_replica);
        }
        self.records(&partition.records)?;
        if self.flexible() {
            self.partition_tags(partition)?;
        }
        Ok(())
    }

    fn aborted(&mut self, aborted: Option<&[AbortedTransaction]>) -> Result<(), EncodeError> {
        let Some(aborted) = aborted else {
            self.null();
            return Ok(());
        };
        self.count(aborted.len())?;
        for transaction in aborted {
            self.bytes.put_i64(transaction.producer_id);
            self.bytes.put_i64(transaction.first_offset);
            self.no_tags();
        }
        Ok(())
    }

    /// The records' length, then a note of where they belong: their bytes are not touched.
    fn records(&mut self, records: &'a [Bytes]) -> Result<(), EncodeError> {
        let length = records.iter().map(Bytes::len).sum();
        self.count(length)?;
        if length > 0 {
            self.splices.push((self.bytes.len(), records));
            self.spliced_bytes += length;
        }
        Ok(())
    }

    fn partition_tags(&mut self, partition: &PartitionAnswer) -> Result<(), EncodeError> {
        let PartitionAnswer { diverging_epoch, current_leader, .. } = partition;
        let count = u32::from(diverging_epoch.is_some()) + u32::from(current_leader.is_some());
        put_uvarint(&mut self.bytes, count);
        if let Some(end) = diverging_epoch {
            let mut field = Vec::new();
            field.put_i32(end.epoch);
            field.put_i64(end.end_offset);
            field.put_u8(0);
            self.tagged_field(0, &field)?;
        }
        if let Some(leader) = current_leader {
            let mut field = Vec::new();
            field.put_i32(leader.leader_id);
            field.put_i32(leader.leader_epoch);
            field.put_u8(0);
            self.tagged_field(1, &field)?;
        }
        Ok(())
    }

    fn node_endpoints(&self, endpoints: &[NodeEndpoint]) -> Result<Vec<u8>, EncodeError> {
        let mut field = Encoder {
            version: self.version,
            bytes: Vec::new(),
            splices: Vec::new(),
            spliced_bytes: 0,
        };
        field.count(endpoints.len())?;
        for endpoint in endpoints {
            field.bytes.put_i32(endpoint.node_id);
            field.string(&endpoint.host)?;
            field.bytes.put_i32(endpoint.port);
            match &endpoint.rack {
                Some(rack) => field.string(rack)?,
                None => field.null(),
            }
            field.no_tags();
        }
        Ok(field.bytes)
    }

    fn tagged_field(&mut self, tag: u32, field: &[u8]) -> Result<(), EncodeError> {
        put_uvarint(&mut self.bytes, tag);
        let size = u32::try_from(field.len()).map_err(|_| EncodeError::TooLong(field.len()))?;
        put_uvarint(&mut self.bytes, size);
        self.bytes.put_slice(field);
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), EncodeError> {
        let length = i16::try_from(text.len()).map_err(|_| EncodeError::TooLong(text.len()))?;
        if self.flexible() {
            self.count(text.len())?;
        } else {
            self.bytes.put_i16(length);
        }
        self.bytes.put_slice(text.as_bytes());
        Ok(())
    }

    /// The length of an array or of bytes.
    fn count(&mut self, count: usize) -> Result<(), EncodeError> {
        let number = i32::try_from(count).map_err(|_| EncodeError::TooLong(count))?;
        if self.flexible() {
            put_uvarint(&mut self.bytes, number.unsigned_abs() + 1);
        } else {
            self.bytes.put_i32(number);
        }
        Ok(())
    }

    /// A null array or text, of which the latter stands in flexible versions only.
    fn null(&mut self) {
        if self.flexible() {
            self.bytes.put_u8(0);
        } else {
            self.bytes.put_i32(-1);
        }
    }

    fn no_tags(&mut self) {
        if self.flexible() {
            self.bytes.put_u8(0);
        }
    }

    /// Cuts `bytes` where records belong and puts these in between.
    fn finish(self) -> Result<VectoredFrame, EncodeError> {
        let Self { mut bytes, splices, spliced_bytes, .. } = self;
        let size_bytes = bytes.len() + spliced_bytes;
        bytes[..4].copy_from_slice(&frame_length(size_bytes)?.to_be_bytes());
        let mut rest = Bytes::from(bytes);
        let mut chunks = Vec::with_capacity(2 * splices.len() + 1);
        let mut given = 0;
        for (position, records) in splices {
            chunks.push(rest.split_to(position - given));
            given = position;
            chunks.extend(records.iter().filter(|chunk| !chunk.is_empty()).cloned());
        }
        chunks.push(rest);
        chunks.retain(|chunk| !chunk.is_empty());
        Ok(VectoredFrame { chunks, size_bytes })
    }
}

#[cfg(test)]
mod tests;
