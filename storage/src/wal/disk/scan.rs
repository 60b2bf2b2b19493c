//! Finding the frames of a file.

use bytes::Bytes;
use odradek_common::ids::ClusterId;

use super::DiskError;
use super::index::LiveFile;
use super::layout::{FRAME_BYTES, FileHeader, Frame, PAGE_BYTES};
use crate::envelope::EnvelopeError;
use crate::wal::slot::{Nonce, decode_whole};

/// Bytes read together in the search for frames behind the last one.
const SEARCH_BYTES: u64 = 1 << 20;

/// Reads and checks a file's header.
pub(super) fn read_header(
    file: &LiveFile,
    generation: u64,
    cluster: &ClusterId,
) -> Result<FileHeader, DiskError> {
    let page = read(file, 0, PAGE_BYTES)?;
    let header = FileHeader::decode(&page).map_err(|error| match error {
        EnvelopeError::Newer { .. } => DiskError::Format { path: file.path.clone(), source: error },
        damaged => damage(file, 0, damaged.to_string()),
    })?;
    if header.cluster != *cluster {
        return Err(DiskError::OtherCluster {
            path: file.path.clone(),
            found: header.cluster,
            expected: cluster.clone(),
        });
    }
    if header.generation != generation {
        return Err(damage(file, 0, "its header is that of another file".to_owned()));
    }
    Ok(header)
}

/// The generation of a file that may never have had a header.
pub(super) fn generation(file: &LiveFile) -> Result<Option<u64>, DiskError> {
    if length(file)? < PAGE_BYTES {
        return Ok(None);
    }
    let page = read(file, 0, PAGE_BYTES)?;
    Ok(FileHeader::decode(&page).ok().map(|header| header.generation))
}

/// The frames of a file up to the first place that holds none. Something valid behind that place
/// means that durable bytes are damaged.
pub(super) fn frames(file: &LiveFile, nonce: Nonce) -> Result<Vec<Frame>, DiskError> {
    let length = length(file)?;
    let mut frames = Vec::new();
    let mut position = PAGE_BYTES;
    while let Some(frame) = frame_at(file, nonce, position, length)? {
        position = frame.end();
        frames.push(frame);
    }
    match frame_behind(file, nonce, position, length)? {
        None => Ok(frames),
        Some(behind) => {
            let what = format!("no valid frame, though one is at byte {}", behind.position);
            Err(damage(file, position, what))
        }
    }
}

/// Reads the whole slot of a frame; `None` if it is not whole: a crash may have interrupted it.
pub(super) fn whole_slot(
    file: &LiveFile,
    frame: &Frame,
    cluster: &ClusterId,
) -> Result<Option<Bytes>, DiskError> {
    let slot = read(file, frame.slot_position(), frame.length)?;
    let is_whole = decode_whole(&slot, cluster, frame.at).is_ok();
    Ok(is_whole.then_some(slot))
}

fn frame_at(
    file: &LiveFile,
    nonce: Nonce,
    position: u64,
    length: u64,
) -> Result<Option<Frame>, DiskError> {
    if length.saturating_sub(position) < FRAME_BYTES as u64 {
        return Ok(None);
    }
    let bytes = read(file, position, FRAME_BYTES as u64)?;
    let frame = Frame::decode(&bytes, nonce, position)
        .map_err(|source| DiskError::Format { path: file.path.clone(), source })?;
    // The slot itself need not end with its frame's last page.
    let fits = |frame: &Frame| frame.slot_position().saturating_add(frame.length) <= length;
    Ok(frame.filter(fits))
}

/// The first frame behind `position`.
fn frame_behind(
    file: &LiveFile,
    nonce: Nonce,
    position: u64,
    length: u64,
) -> Result<Option<Frame>, DiskError> {
    let mut start = position.saturating_add(PAGE_BYTES);
    while start < length {
        let bytes = read(file, start, SEARCH_BYTES.min(length - start))?;
        for page in bytes.chunks(usize::try_from(PAGE_BYTES).unwrap_or(usize::MAX)) {
            if Frame::may_begin(page)
                && let Some(frame) = frame_at(file, nonce, start, length)?
            {
                return Ok(Some(frame));
            }
            start += PAGE_BYTES;
        }
    }
    Ok(None)
}

pub(super) fn damage(file: &LiveFile, offset: u64, what: String) -> DiskError {
    DiskError::Damaged { path: file.path.clone(), offset, what }
}

pub(super) fn length(file: &LiveFile) -> Result<u64, DiskError> {
    file.file.len().map_err(DiskError::io("measure", &file.path))
}

/// Reads `length` bytes, of which the caller knows that they are there.
pub(super) fn read(file: &LiveFile, position: u64, length: u64) -> Result<Bytes, DiskError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    let read = file.file.read_exact_at(&mut bytes, position);
    read.map_err(DiskError::io("read", &file.path))?;
    Ok(bytes.into())
}
