//! Decompression of a batch's records with a cap, for the few places that look into them: brokers
//! store and serve what producers have compressed as it is.

use bytes::Bytes;
use odradek_common::batch::Compression;
use odradek_common::limits::ZSTD_WINDOW_LOG;
use std::io::{self, Read};

/// What xerial's Java library puts in front of its blocks: magic, version, oldest reader's version.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;
/// The most that one compressed byte of snappy can become: 64 bytes from a copy of three.
const SNAPPY_RATIO: usize = 22;

/// Why compressed bytes are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// They would become more than is allowed.
    #[error("the records decompress to more than {cap_bytes} bytes")]
    OverCap {
        /// What is allowed.
        cap_bytes: usize,
    },
    /// They are not what they are said to be.
    #[error("malformed {compression:?}: {source}")]
    Corrupt {
        /// What they are said to be.
        compression: Compression,
        /// What the library says.
        source: io::Error,
    },
}

/// Decompresses `data`, at most to `cap_bytes`. Memory stays within some three times the cap plus
/// what the format needs for itself (128 MiB of address space for the largest zstd window, of
/// which no more is touched than is decompressed). Uncompressed data is not copied.
///
/// # Errors
/// [`DecompressError::OverCap`] as soon as it is known, [`DecompressError::Corrupt`].
pub fn decompress(
    compression: Compression,
    data: &Bytes,
    cap_bytes: usize,
) -> Result<Bytes, DecompressError> {
    let decompressed = match compression {
        Compression::None => Ok((data.len() <= cap_bytes).then(|| data.clone())),
        Compression::Gzip => {
            read_capped(flate2::bufread::MultiGzDecoder::new(&data[..]), cap_bytes)
        }
        Compression::Snappy => return snappy(data, cap_bytes),
        Compression::Lz4 => read_capped(lz4_flex::frame::FrameDecoder::new(&data[..]), cap_bytes),
        Compression::Zstd => zstd_decoder(data).and_then(|zstd| read_capped(zstd, cap_bytes)),
    };
    decompressed
        .map_err(|source| DecompressError::Corrupt { compression, source })?
        .ok_or(DecompressError::OverCap { cap_bytes })
}

/// A reader of what `data` decompresses to, for who looks at it piece by piece: beside the window
/// of the format (at most 128 MiB, of zstd; a block of snappy, 22 times the batch) it holds nothing.
/// Where the data is malformed, reading fails.
///
/// # Errors
/// If the format's decoder cannot be made.
pub(crate) fn reader(compression: Compression, data: &[u8]) -> io::Result<Box<dyn Read + '_>> {
    Ok(match compression {
        Compression::None => Box::new(data),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(data)),
        Compression::Snappy => {
            Box::new(SnappyReader { blocks: Blocks::of(data), block: Vec::new(), at: 0 })
        }
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(data)),
        Compression::Zstd => Box::new(zstd_decoder(data)?),
    })
}

fn zstd_decoder(data: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(data)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// All that the reader gives, or `None` if that is more than `cap_bytes`.
fn read_capped(reader: impl Read, cap_bytes: usize) -> io::Result<Option<Bytes>> {
    let mut out = Vec::new();
    let one_more = u64::try_from(cap_bytes).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(one_more).read_to_end(&mut out)?;
    Ok((out.len() <= cap_bytes).then(|| out.into()))
}

/// Snappy as Kafka's reader takes it: blocks in xerial's framing, or without it one raw block.
fn snappy(data: &[u8], cap_bytes: usize) -> Result<Bytes, DecompressError> {
    let mut out = Vec::new();
    for block in Blocks::of(data) {
        snappy_block(block?, &mut out, cap_bytes)?;
    }
    Ok(out.into())
}

/// The raw blocks of snappy data, one after the other; ends after the first error.
struct Blocks<'a> {
    rest: &'a [u8],
    framed: bool,
}

impl<'a> Blocks<'a> {
    fn of(data: &'a [u8]) -> Self {
        Self { rest: data, framed: data.starts_with(XERIAL_MAGIC) }
    }

    fn framed_block(&mut self) -> Result<Option<&'a [u8]>, DecompressError> {
        // A header may stand again between blocks, where streams were joined.
        while self.rest.starts_with(XERIAL_MAGIC) {
            self.rest = self.rest.get(XERIAL_HEADER_BYTES..).ok_or_else(cut_short)?;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (length, tail) = self.rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| cut_short())?;
        let (block, tail) = tail.split_at_checked(length).ok_or_else(cut_short)?;
        self.rest = tail;
        Ok(Some(block))
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<&'a [u8], DecompressError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.framed {
            let only = std::mem::take(&mut self.rest);
            return (!only.is_empty()).then_some(Ok(only));
        }
        let block = self.framed_block().transpose();
        if matches!(block, Some(Err(_))) {
            self.rest = &[];
        }
        block
    }
}

/// Snappy data read block by block.
struct SnappyReader<'a> {
    blocks: Blocks<'a>,
    block: Vec<u8>,
    /// How much of `block` was read.
    at: usize,
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            let Some(next) = self.blocks.next() else { return Ok(0) };
            self.block.clear();
            self.at = 0;
            next.and_then(|next| snappy_block(next, &mut self.block, usize::MAX))
                .map_err(io::Error::other)?;
        }
        let mut rest = &self.block[self.at..];
        let read = rest.read(out)?;
        self.at += read;
        Ok(read)
    }
}

/// Appends one raw block, whose announced size is believed only as far as its bytes can carry it.
fn snappy_block(block: &[u8], out: &mut Vec<u8>, cap_bytes: usize) -> Result<(), DecompressError> {
    let announced = snap::raw::decompress_len(block).map_err(snappy_error)?;
    if announced > cap_bytes.saturating_sub(out.len()) {
        return Err(DecompressError::OverCap { cap_bytes });
    }
    if announced > block.len().saturating_mul(SNAPPY_RATIO) {
        return Err(cut_short());
    }
    let start = out.len();
    out.resize(start + announced, 0);
    let written =
        snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(snappy_error)?;
    out.truncate(start + written);
    Ok(())
}

fn snappy_error(error: snap::Error) -> DecompressError {
    DecompressError::Corrupt { compression: Compression::Snappy, source: error.into() }
}

fn cut_short() -> DecompressError {
    let source = io::Error::from(io::ErrorKind::UnexpectedEof);
    DecompressError::Corrupt { compression: Compression::Snappy, source }
}

#[cfg(test)]
mod tests;
