//! Records with the time at which they were to be sent, in batches.

use std::io::Write;

use anyhow::Result;
use bytes::Bytes;
use odradek_common::batch::{Batch, Compression, Records};
use odradek_protocol::compression::decompress;

use super::options::Codec;

/// The most that a fetched batch may decompress to.
const DECOMPRESSED_BYTES: usize = 64 << 20;
/// Bytes of a record that are not its value, at most.
pub const RECORD_OVERHEAD_BYTES: usize = 24;
/// Bytes of a batch header.
const HEADER_BYTES: usize = odradek_common::batch::HEADER_LENGTH;
/// What stands before snappy blocks: magic, version, oldest version that can read it (snappy-java).
const SNAPPY_HEADER: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// Bytes that one snappy block holds, as the Java client cuts them.
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;

/// The producer of a batch: id, epoch and sequence of the first record.
pub type Identity = (i64, i16, i32);

/// Records on their way to one partition.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    records: Vec<u8>,
    /// When each record was to be sent, in ns after the start.
    pub due_ns: Vec<u64>,
}

impl Gathered {
    /// Adds a record: the run it belongs to, when it was to be sent, and filler up to its size.
    pub fn push(&mut self, run: u64, due_ns: u64, filler: &[u8]) {
        let value_bytes = 16 + filler.len();
        let mut prefix = [0; RECORD_OVERHEAD_BYTES];
        let mut length = 1; // attributes
        length += put(&mut prefix[length..], 0); // no time after the first record
        length += put(&mut prefix[length..], self.due_ns.len());
        prefix[length] = 1; // no key: -1
        length += 1;
        length += put(&mut prefix[length..], value_bytes);
        let mut size = [0; 5];
        let size_bytes = put(&mut size, length + value_bytes + 1);
        self.records.extend_from_slice(&size[..size_bytes]);
        self.records.extend_from_slice(&prefix[..length]);
        self.records.extend_from_slice(&run.to_be_bytes());
        self.records.extend_from_slice(&due_ns.to_be_bytes());
        self.records.extend_from_slice(filler);
        self.records.push(0); // no headers
        self.due_ns.push(due_ns);
    }

    /// Bytes of the batch as it would be without compression.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// The number of records.
    #[must_use]
    pub fn count(&self) -> usize {
        self.due_ns.len()
    }

    /// The batch as it is sent.
    ///
    /// # Errors
    /// If a library fails to compress, or it is too large.
    pub fn encode(&self, codec: Codec, now_ms: i64, identity: Identity) -> Result<Bytes> {
        let (attributes, records) = compress(codec, &self.records)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len());
        let last = i32::try_from(self.count())? - 1;
        bytes.extend(0_i64.to_be_bytes());
        bytes.extend(i32::try_from(HEADER_BYTES - 12 + records.len())?.to_be_bytes());
        bytes.extend((-1_i32).to_be_bytes());
        bytes.push(2);
        bytes.extend(0_u32.to_be_bytes());
        bytes.extend(i16::to_be_bytes(attributes));
        bytes.extend(last.to_be_bytes());
        bytes.extend(now_ms.to_be_bytes());
        bytes.extend(now_ms.to_be_bytes());
        bytes.extend(identity.0.to_be_bytes());
        bytes.extend(identity.1.to_be_bytes());
        bytes.extend(identity.2.to_be_bytes());
        bytes.extend((last + 1).to_be_bytes());
        bytes.extend_from_slice(&records);
        let crc = odradek_common::batch::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        Ok(bytes.into())
    }
}

/// A zig-zag number that is not negative; gives back how many bytes it took.
fn put(out: &mut [u8], number: usize) -> usize {
    let mut rest = (number as u64) << 1;
    let mut at = 0;
    loop {
        let low = rest.to_le_bytes()[0] & 0x7f;
        rest >>= 7;
        out[at] = if rest == 0 { low } else { low | 0x80 };
        at += 1;
        if rest == 0 {
            return at;
        }
    }
}

fn compress(codec: Codec, records: &[u8]) -> Result<(i16, std::borrow::Cow<'_, [u8]>)> {
    Ok(match codec {
        Codec::None => (0, records.into()),
        Codec::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(records)?;
            (1, out.finish()?.into())
        }
        Codec::Snappy => (2, snappy(records)?.into()),
        Codec::Lz4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(records)?;
            (3, out.finish()?.into())
        }
        Codec::Zstd => (4, zstd::bulk::compress(records, 3)?.into()),
    })
}

/// Blocks, each with its length before it, behind one header.
fn snappy(records: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = snap::raw::Encoder::new();
    let mut out = SNAPPY_HEADER.to_vec();
    for block in records.chunks(SNAPPY_BLOCK_BYTES) {
        let block = encoder.compress_vec(block)?;
        out.extend(u32::try_from(block.len())?.to_be_bytes());
        out.extend(block);
    }
    Ok(out)
}

/// Calls `with` with the due time of every record of `run` in a fetched batch.
///
/// # Errors
/// If the batch is malformed.
pub fn due_times(batch: &Batch, run: u64, mut with: impl FnMut(u64)) -> Result<()> {
    let compression = batch.header.compression()?;
    let records = match compression {
        Compression::None => batch.records(),
        other => decompress(other, &batch.records(), DECOMPRESSED_BYTES)?,
    };
    for record in Records::new(&records, batch.header.record_count) {
        let value = record?.value.unwrap_or_default();
        if let Some((of, rest)) = value.split_first_chunk::<8>()
            && u64::from_be_bytes(*of) == run
            && let Some(due) = rest.first_chunk::<8>()
        {
            with(u64::from_be_bytes(*due));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn what_is_sent_is_a_batch_with_its_times() {
        for codec in Codec::value_variants() {
            let mut gathered = Gathered::default();
            for due in 0..600 {
                gathered.push(7, due, &[b'x'; 100]);
            }
            gathered.push(8, 999, b"");
            let mut bytes = gathered.encode(*codec, 1234, (5, 1, 42)).unwrap();
            let batch = Batch::split_first(&mut bytes).unwrap();
            batch.verify().unwrap();
            let header = &batch.header;
            assert!(bytes.is_empty());
            assert_eq!((header.record_count, header.base_sequence), (601, 42));
            if *codec == Codec::None {
                assert_eq!(batch.bytes.len(), gathered.size_bytes());
            }
            let mut times = Vec::new();
            due_times(&batch, 7, |due| times.push(due)).unwrap();
            assert_eq!(times, (0..600).collect::<Vec<u64>>());
        }
    }
}
