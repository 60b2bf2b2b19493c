//! Batches that are small on the wire and large when decompressed.

use std::io::{self, Write};

use anyhow::Result;
use bytes::Bytes;

use crate::batch::{Maker, put_uvarint, put_varint};

/// What becomes large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// One record of one large value.
    Value,
    /// Records without end, each as small as can be.
    Records,
    /// One record of headers without end.
    Headers,
}

/// How it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Up to 1,000 times.
    Gzip,
    /// Up to 21 times.
    Snappy,
    /// Up to 255 times.
    Lz4,
    /// Up to 30,000 times.
    Zstd,
}

impl Codec {
    fn number(self) -> i16 {
        match self {
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }
}

/// The smallest record with a key: everything in it is empty.
const RECORD: &[u8] = &[12, 0, 0, 0, 0, 0, 0];
/// The smallest header: an empty key and no value.
const HEADER: &[u8] = &[0, 1];
/// Bytes of a block of snappy, as Kafka's clients make them.
const SNAPPY_BLOCK: usize = 32 << 10;

/// A batch whose records decompress to about `bytes`.
pub fn bomb(content: Content, codec: Codec, bytes: usize) -> Result<Bytes> {
    let count = if content == Content::Records { bytes / RECORD.len() } else { 1 };
    let records = match codec {
        Codec::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            write(&mut out, content, bytes)?;
            out.finish()?
        }
        Codec::Snappy => {
            let mut out = Xerial { out: b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec() };
            let mut buffered = io::BufWriter::with_capacity(SNAPPY_BLOCK, &mut out);
            write(&mut buffered, content, bytes)?;
            buffered.flush()?;
            drop(buffered);
            out.out
        }
        Codec::Lz4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            write(&mut out, content, bytes)?;
            out.finish()?
        }
        Codec::Zstd => {
            let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1)?;
            write(&mut out, content, bytes)?;
            out.finish()?
        }
    };
    Ok(Maker::new(records, i32::try_from(count)?).compressed(codec.number()).build())
}

fn write(out: &mut impl Write, content: Content, bytes: usize) -> Result<()> {
    // Attributes, timestamp delta, offset delta, an empty key.
    let mut body = vec![0, 0, 0, 0];
    let rest = match content {
        Content::Value => {
            put_varint(&mut body, i64::try_from(bytes)?);
            bytes + 1
        }
        Content::Records => return repeat(out, RECORD, bytes / RECORD.len()),
        Content::Headers => {
            body.push(0);
            put_varint(&mut body, i64::try_from(bytes / HEADER.len())?);
            bytes / HEADER.len() * HEADER.len()
        }
    };
    let mut length = Vec::new();
    put_uvarint(&mut length, u64::try_from(2 * (body.len() + rest))?);
    out.write_all(&length)?;
    out.write_all(&body)?;
    match content {
        Content::Headers => repeat(out, HEADER, bytes / HEADER.len()),
        _ => repeat(out, &[0], rest),
    }
}

fn repeat(out: &mut impl Write, unit: &[u8], times: usize) -> Result<()> {
    const CHUNK_UNITS: usize = 10_000;
    let chunk = unit.repeat(CHUNK_UNITS);
    for _ in 0..times / CHUNK_UNITS {
        out.write_all(&chunk)?;
    }
    Ok(out.write_all(&unit.repeat(times % CHUNK_UNITS))?)
}

/// The framing of xerial's Java library: blocks with their lengths.
struct Xerial {
    out: Vec<u8>,
}

impl Write for Xerial {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let compressed = snap::raw::Encoder::new().compress_vec(block)?;
        let length = u32::try_from(compressed.len()).map_err(io::Error::other)?;
        self.out.extend(length.to_be_bytes());
        self.out.extend(compressed);
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
