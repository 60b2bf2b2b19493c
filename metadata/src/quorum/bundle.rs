//! Stored entries, one behind the other, each with its length (u32, big-endian) in front. A list of
//! protobuf messages could be many times larger in memory than on the wire.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use odradek_common::limits::METADATA_APPEND_ENTRIES;

use crate::wire::DecodeError;

/// Puts entries together.
pub(crate) fn join(entries: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Bytes {
    let mut bytes = BytesMut::new();
    for entry in entries {
        let entry = entry.as_ref();
        bytes.put_u32(u32::try_from(entry.len()).unwrap_or(u32::MAX));
        bytes.put_slice(entry);
    }
    bytes.freeze()
}

/// Takes apart what [`join`] made.
pub(crate) fn split(mut bytes: Bytes) -> Result<Vec<Bytes>, DecodeError> {
    let damaged = || DecodeError::damaged("a list of entries", "it is cut short or too long");
    let mut entries = Vec::new();
    while bytes.has_remaining() {
        let length = bytes.try_get_u32().map_err(|_| damaged())?;
        let length = usize::try_from(length).map_err(|_| damaged())?;
        if length > bytes.len() || entries.len() == METADATA_APPEND_ENTRIES {
            return Err(damaged());
        }
        entries.push(bytes.split_to(length));
    }
    Ok(entries)
}
