//! How slots lie in files.
//!
//! ```text
//! file    a page with the file's header · frames, each at the start of a page
//! frame   an envelope of 70 bytes (file's nonce, position, place, length) · the slot
//! ```
//!
//! The nonce is drawn each time a file is taken into use, so that what a former use left in it can
//! never be taken for a frame of this one; nor can bytes that a producer sent. As each frame is
//! written only when the one before it is durable, a valid frame vouches for all before it.

use std::path::{Path, PathBuf};

use bytes::{BufMut, Bytes, BytesMut};
use odradek_common::ids::{BrokerEpoch, BrokerId, ChainId, ClusterId, SlotNumber};
use prost::Message;

use crate::envelope::{EnvelopeError, Kind, OVERHEAD_BYTES};
use crate::names::{ChainRef, SlotRef};
use crate::wal::slot::Nonce;

const FILE: Kind = Kind { name: "file of the write-ahead log", magic: *b"ODwf", version: 1 };
const FRAME: Kind = Kind { name: "frame of the write-ahead log", magic: *b"ODwr", version: 1 };

/// Frames begin at multiples of this: no sector holds bytes of two, so a torn write of one cannot
/// harm another. The file's header has a page of its own.
pub(super) const PAGE_BYTES: u64 = 4096;
/// Bytes of the envelope in front of a slot.
pub(super) const FRAME_BYTES: usize = OVERHEAD_BYTES + 56;

/// The file by which the owner of the directory knows it again: not read and left alone here.
pub const OWNER_FILE: &str = "directory.json";

const LIVE: &str = "wal-";
const SPARE: &str = "spare-";
const NEW: &str = "new-";

/// What a file in the directory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It holds slots. The number, its generation, orders the files.
    Live(u64),
    /// It is kept for use again.
    Spare(u64),
    /// It was being made.
    New(u64),
    /// It is its owner's.
    Owner,
    /// It is none of ours.
    Foreign,
}

impl Role {
    pub(super) fn of(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = |prefix| {
            let digits: &str = name.strip_prefix(prefix)?;
            let number: u64 = digits.parse().ok()?;
            (digits.len() == 20).then_some(number)
        };
        if let Some(generation) = number(LIVE) {
            Self::Live(generation)
        } else if let Some(generation) = number(SPARE) {
            Self::Spare(generation)
        } else if let Some(generation) = number(NEW) {
            Self::New(generation)
        } else if name == OWNER_FILE {
            Self::Owner
        } else {
            Self::Foreign
        }
    }
}

pub(super) fn live_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{LIVE}{generation:020}"))
}

pub(super) fn spare_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{SPARE}{generation:020}"))
}

pub(super) fn new_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{NEW}{generation:020}"))
}

/// A file's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) cluster: ClusterId,
    pub(super) generation: u64,
    pub(super) nonce: Nonce,
}

#[derive(Clone, PartialEq, Message)]
struct FileMessage {
    #[prost(string, tag = "1")]
    cluster: String,
    #[prost(uint64, tag = "2")]
    generation: u64,
    #[prost(bytes = "bytes", tag = "3")]
    nonce: Bytes,
}

impl FileHeader {
    /// The header's page.
    pub(super) fn encode(&self) -> Vec<u8> {
        let envelope = FILE.seal_message(&FileMessage {
            cluster: self.cluster.as_str().to_owned(),
            generation: self.generation,
            nonce: Bytes::copy_from_slice(&self.nonce.0),
        });
        let mut page = envelope.to_vec();
        page.resize(usize::try_from(PAGE_BYTES).unwrap_or(page.len()), 0);
        page
    }

    pub(super) fn decode(page: &Bytes) -> Result<Self, EnvelopeError> {
        let message: FileMessage = FILE.open_message(&first_envelope(page))?;
        let malformed =
            |what: &str| EnvelopeError::Payload { kind: FILE.name, reason: what.to_owned() };
        Ok(Self {
            cluster: message.cluster.parse().map_err(|_| malformed("cluster id"))?,
            generation: message.generation,
            nonce: Nonce(message.nonce[..].try_into().map_err(|_| malformed("nonce"))?),
        })
    }
}

/// What stands in front of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where the frame begins.
    pub(super) position: u64,
    /// The slot behind it.
    pub(super) at: SlotRef,
    /// The slot's length in bytes.
    pub(super) length: u64,
}

impl Frame {
    pub(super) fn encode(&self, file: Nonce) -> Bytes {
        let mut payload = BytesMut::with_capacity(FRAME_BYTES - OVERHEAD_BYTES);
        payload.put_slice(&file.0);
        payload.put_u64(self.position);
        payload.put_u64(self.length);
        payload.put_i32(self.at.chain.broker.0);
        payload.put_u64(self.at.chain.epoch.0);
        payload.put_u32(self.at.chain.chain.0);
        payload.put_u64(self.at.slot.0);
        FRAME.seal(&payload)
    }

    /// The frame of this use of the file that `bytes` hold, read from `position`; `None` if they
    /// hold none.
    pub(super) fn decode(
        bytes: &Bytes,
        file: Nonce,
        position: u64,
    ) -> Result<Option<Self>, EnvelopeError> {
        let payload = match FRAME.open(bytes) {
            Ok(opened) => opened.payload,
            // Not the end of the log: skipping it would lose records.
            Err(error @ EnvelopeError::Newer { .. }) => return Err(error),
            Err(_) => return Ok(None),
        };
        let Some((nonce, rest)) = payload.split_first_chunk::<16>() else { return Ok(None) };
        let fields: Option<[u8; 40]> = rest.try_into().ok();
        let Some(fields) = fields else { return Ok(None) };
        let chain = ChainRef {
            broker: BrokerId(i32::from_be_bytes(field(&fields, 16))),
            epoch: BrokerEpoch(u64::from_be_bytes(field(&fields, 20))),
            chain: ChainId(u32::from_be_bytes(field(&fields, 28))),
        };
        let frame = Self {
            position: u64::from_be_bytes(field(&fields, 0)),
            length: u64::from_be_bytes(field(&fields, 8)),
            at: chain.slot(SlotNumber(u64::from_be_bytes(field(&fields, 32)))),
        };
        Ok((Nonce(*nonce) == file && frame.position == position).then_some(frame))
    }

    /// True if `bytes` begin as a frame does.
    pub(super) fn may_begin(bytes: &[u8]) -> bool {
        bytes.starts_with(&FRAME.magic)
    }

    /// Where the slot begins.
    pub(super) fn slot_position(&self) -> u64 {
        self.position.saturating_add(FRAME_BYTES as u64)
    }

    /// Where the next frame begins.
    pub(super) fn end(&self) -> u64 {
        self.position.saturating_add(frame_bytes(self.length))
    }
}

/// Bytes that a frame with a slot of `length` takes, in whole pages.
pub(super) fn frame_bytes(length: u64) -> u64 {
    length.saturating_add(FRAME_BYTES as u64).div_ceil(PAGE_BYTES).saturating_mul(PAGE_BYTES)
}

fn first_envelope(page: &Bytes) -> Bytes {
    let length = page.get(6..10).map_or(0, |b| u32::from_be_bytes(field(b, 0)));
    let length = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(OVERHEAD_BYTES);
    page.slice(..length.min(page.len()))
}

/// The `N` bytes at `position`, whose presence the caller has checked.
fn field<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[position + i])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE_NONCE: Nonce = Nonce([7; 16]);

    fn frame(position: u64, length: u64) -> Frame {
        let chain = ChainRef { broker: BrokerId(1), epoch: BrokerEpoch(2), chain: ChainId(3) };
        Frame { position, at: chain.slot(SlotNumber(4)), length }
    }

    #[test]
    fn names_tell_what_a_file_is_for() {
        let dir = Path::new("wal");
        assert_eq!(Role::of(&live_path(dir, 7)), Role::Live(7));
        assert_eq!(Role::of(&spare_path(dir, 7)), Role::Spare(7));
        assert_eq!(Role::of(&new_path(dir, 7)), Role::New(7));
        assert_eq!(Role::of(&dir.join(OWNER_FILE)), Role::Owner);
        for foreign in ["wal-7", "wal-", "lost+found", "wal-00000000000000000007.bak"] {
            assert_eq!(Role::of(&dir.join(foreign)), Role::Foreign);
        }
    }

    #[test]
    fn a_files_header_fills_a_page_and_comes_back() {
        let cluster = "c".parse().unwrap();
        let header = FileHeader { cluster, generation: 9, nonce: FILE_NONCE };
        let page = Bytes::from(header.encode());
        assert_eq!(page.len() as u64, PAGE_BYTES);
        assert_eq!(FileHeader::decode(&page).unwrap(), header);
    }

    #[test]
    fn a_frame_counts_only_in_its_file_and_at_its_place() {
        let bytes = frame(PAGE_BYTES, 10).encode(FILE_NONCE);
        assert_eq!(bytes.len(), FRAME_BYTES);
        let decode = |nonce, position| Frame::decode(&bytes, nonce, position).unwrap();
        assert_eq!(decode(FILE_NONCE, PAGE_BYTES), Some(frame(PAGE_BYTES, 10)));
        assert_eq!(decode(Nonce([8; 16]), PAGE_BYTES), None);
        assert_eq!(decode(FILE_NONCE, 2 * PAGE_BYTES), None);
        assert_eq!(frame(PAGE_BYTES, u64::MAX).end() % PAGE_BYTES, PAGE_BYTES - 1);
        assert_eq!(frame(PAGE_BYTES, 1).end(), 2 * PAGE_BYTES);
        assert_eq!(frame(PAGE_BYTES, PAGE_BYTES).end(), 3 * PAGE_BYTES);
    }

    #[test]
    fn a_newer_frame_is_not_taken_for_the_end() {
        let payload = [0; 56];
        let newer = Kind { version: 2, ..FRAME }.seal(&payload);
        assert!(Frame::decode(&newer, FILE_NONCE, 0).is_err());
    }

    proptest! {
        #[test]
        fn noise_is_no_frame(noise: [u8; 32], more: [u8; 24], page: Vec<u8>) {
            let noise = FRAME.seal(&[&noise[..], &more[..]].concat());
            prop_assert_eq!(Frame::decode(&noise, FILE_NONCE, 0).unwrap(), None);
            let page = Bytes::from(page);
            prop_assert_eq!(Frame::decode(&page, FILE_NONCE, 0).unwrap(), None);
            prop_assert!(FileHeader::decode(&page).is_err());
        }
    }
}
