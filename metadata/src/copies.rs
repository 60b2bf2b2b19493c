//! Copies of what is committed, for a store that outlives the disks of the voters: snapshots, and between
//! them tails of the log. What goes away elsewhere goes by such a copy (laws 4.2, 4.5). Committed entries
//! are the same everywhere, so copies that two leaders make beside each other do not contradict.
//!
//! Layout of a tail, numbers big-endian: magic (8 bytes), version (u32), first and last index (u64 each),
//! entries as [`bundle`] puts them together, CRC-32C of all before (u32).

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use odradek_common::batch::crc32c;
use odradek_common::limits::METADATA_COPY_MS;
use prost::Message;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::calls::CopiedRequest;
use crate::disk::{DiskError, StoredSnapshot, decode_snapshot_file, encode_snapshot_file};
use crate::handle::Metadata;
use crate::image::Image;
use crate::leader::{AskError, Patience};
use crate::peer::Kind;
use crate::quorum::{Committed, StoredEntry, bundle};
use crate::wire::{DecodeError, check_version, decode_entry, decode_snapshot, encode_snapshot};

const MAGIC: &[u8; 8] = b"ODRTAIL\n";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 28;
const CRC_BYTES: usize = 4;
const WHAT: &str = "a copy of the metadata's log";

/// Entries that are committed, one behind the other, as they are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedTail {
    /// The index of the first.
    pub first: u64,
    /// The index of the last.
    pub last: u64,
    /// What [`restore`] reads.
    pub bytes: Bytes,
}

/// What is committed from an index on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyPiece {
    /// Entries, not always all of them.
    Tail(CommittedTail),
    /// Nothing yet.
    Nothing,
    /// The log begins later: only a snapshot has it.
    Purged,
}

/// A copy that somebody waits for is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCopied {
    /// No leader of the quorum was found.
    #[error("no leader of the quorum was found")]
    NoLeader,
    /// The leader has not made it in time.
    #[error("the copy of the metadata in the store does not come on: {0}")]
    Behind(String),
}

/// How far the copies of this node are, if it leads, and how far somebody wants them.
#[derive(Debug)]
pub(crate) struct Copies {
    done: watch::Sender<u64>,
    wanted: watch::Sender<u64>,
}

impl Default for Copies {
    fn default() -> Self {
        Self { done: watch::channel(0).0, wanted: watch::channel(0).0 }
    }
}

impl Copies {
    /// Waits until all up to `index` is copied; whoever copies hears that somebody waits for what is
    /// `applied` of it.
    pub(crate) async fn reach(&self, index: u64, applied: u64) {
        self.wanted.send_if_modified(|wanted| {
            let index = index.min(applied);
            let is_more = index > *wanted;
            *wanted = index.max(*wanted);
            is_more
        });
        let mut done = self.done.subscribe();
        // The sender lives as long as this does.
        let _ = done.wait_for(|done| *done >= index).await;
    }
}

impl Metadata {
    /// Does `work` whenever this node leads the quorum: it is dropped when that ends, and begins anew
    /// when it leads again. Ends with the service.
    pub async fn while_leading<F: Future<Output = ()>>(&self, mut work: impl FnMut() -> F) {
        let mut leadership = self.leader.leadership.clone();
        let me = self.leader.me;
        let leads = |now: &crate::quorum::Leadership| {
            now.leader.as_ref().is_some_and(|leader| leader.key == me)
        };
        loop {
            if leadership.wait_for(leads).await.is_err() {
                return;
            }
            tokio::select! {
                () = work() => {}
                ended = leadership.wait_for(|now| !leads(now)) => if ended.is_err() { return },
            }
        }
    }

    /// What is committed from `next` on, as it lies on this member's disk.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn committed_from(&self, next: u64) -> Result<CopyPiece, DiskError> {
        let Some(committed) = &self.committed else { return Ok(CopyPiece::Purged) };
        Ok(match committed.from(next).await? {
            Committed::Entries(entries) => match tail(entries) {
                Some(tail) => CopyPiece::Tail(tail),
                None => CopyPiece::Nothing,
            },
            Committed::UpToDate => CopyPiece::Nothing,
            Committed::Purged => CopyPiece::Purged,
        })
    }

    /// Notes that copies of all up to `index` are durable; never less than before.
    pub fn note_copied(&self, index: u64) {
        self.copies.done.send_if_modified(|done| {
            let is_more = index > *done;
            *done = index.max(*done);
            is_more
        });
    }

    /// Waits until somebody waits for a copy of the entry at `next`.
    pub async fn copy_wanted(&self, next: u64) {
        let mut wanted = self.copies.wanted.subscribe();
        // The sender lives as long as this does.
        let _ = wanted.wait_for(|wanted| *wanted >= next).await;
    }

    /// Waits until the quorum's leader has copied all up to `index`; any node may ask.
    ///
    /// # Errors
    /// See [`NotCopied`]: it may be copied later.
    pub async fn copied(&self, index: u64) -> Result<(), NotCopied> {
        let limit = Duration::from_millis(METADATA_COPY_MS);
        let until = Instant::now() + limit;
        let patience = Patience { until, each: limit, may_repeat: true };
        let request = CopiedRequest { index }.encode_to_vec();
        let asked = self.leader.ask(Kind::Copied, request.into(), patience);
        match timeout(limit, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(AskError::NoLeader)) => Err(NotCopied::NoLeader),
            Ok(Err(
                AskError::Refused(reason) | AskError::NotYet(reason) | AskError::Unknown(reason),
            )) => Err(NotCopied::Behind(reason)),
            Err(_) => Err(NotCopied::Behind("no answer in time".to_owned())),
        }
    }
}

/// An image as it is copied.
#[must_use]
pub fn snapshot_copy(image: &Image) -> Bytes {
    let image = encode_snapshot(image);
    encode_snapshot_file(&StoredSnapshot { description: Vec::new(), image }).into()
}

fn tail(entries: Vec<(u64, Bytes)>) -> Option<CommittedTail> {
    let (first, last) = (entries.first()?.0, entries.last()?.0);
    let entries = bundle::join(entries.into_iter().map(|(_, entry)| entry));
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + entries.len() + CRC_BYTES);
    bytes.put_slice(MAGIC);
    bytes.put_u32(VERSION);
    bytes.put_u64(first);
    bytes.put_u64(last);
    bytes.put_slice(&entries);
    bytes.put_u32(crc32c(&bytes));
    Some(CommittedTail { first, last, bytes: bytes.freeze() })
}

/// The image that copies give: a snapshot, and tails in the order of their first index, which may overlap.
/// It ends where they do not go on.
///
/// # Errors
/// One of them is damaged, or written by a newer build.
pub fn restore(snapshot: &[u8], tails: &[Bytes]) -> Result<Image, DecodeError> {
    let mut image = decode_snapshot(&decode_snapshot_file(snapshot)?.image)?;
    for tail in tails {
        for entry in entries_of(tail)? {
            let next = image.applied_index() + 1;
            if entry.index > next {
                return Ok(image);
            }
            if entry.index == next {
                let commands = entry.commands.as_deref().map(decode_entry).transpose()?;
                image.apply_entry(entry.index, &commands.unwrap_or_default().commands);
            }
        }
    }
    Ok(image)
}

fn entries_of(tail: &Bytes) -> Result<Vec<StoredEntry>, DecodeError> {
    let damaged = |reason: &str| DecodeError::damaged(WHAT, reason);
    let number =
        |at: usize| tail.get(at..)?.first_chunk::<4>().map(|four| u32::from_be_bytes(*four));
    if tail.len() < HEAD_BYTES + CRC_BYTES || !tail.starts_with(MAGIC) {
        return Err(damaged("it does not begin as one"));
    }
    check_version(WHAT, number(MAGIC.len()).unwrap_or(0), VERSION)?;
    let end = tail.len() - CRC_BYTES;
    if number(end) != Some(crc32c(&tail[..end])) {
        return Err(damaged("its checksum is wrong"));
    }
    let entries = bundle::split(tail.slice(HEAD_BYTES..end))?;
    entries.into_iter().map(StoredEntry::decode).collect()
}
