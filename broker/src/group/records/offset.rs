//! A committed offset.

use std::sync::Arc;

use bytes::Bytes;
use odradek_common::ids::TopicId;

use super::wire::{FormatError, Reader, TooLong, Writer};

const KNOWN: i16 = 4;
const WITH_EXPIRY: i16 = 1;
const FLEXIBLE: i16 = 4;
const TOPIC_ID_TAG: i64 = 0;
const NONE: i64 = -1;

/// A committed offset (`OffsetCommitValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetRecord {
    /// The offset from which the group goes on.
    pub offset: i64,
    /// The leader epoch of the last record consumed (KIP-320).
    pub leader_epoch: Option<i32>,
    /// The client's text.
    pub metadata: Arc<str>,
    /// When it was committed, ms since the Unix epoch.
    pub commit_ms: i64,
    /// When it expires, if the client said so (OffsetCommit up to version 4).
    pub expire_ms: Option<i64>,
    /// The topic's id, if the commit named it (OffsetCommit from version 10).
    pub topic_id: Option<TopicId>,
}

impl OffsetRecord {
    /// From the bytes of a record's value, of any version.
    ///
    /// # Errors
    /// If they are malformed or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16("offset version")?;
        if !(0..=KNOWN).contains(&version) {
            return Err(FormatError::Version { what: "an offset", version, known: KNOWN });
        }
        reader.set_flexible(version >= FLEXIBLE);
        let offset = reader.i64("offset")?;
        let epoch = if version >= 3 { reader.i32("leader epoch")? } else { -1 };
        let metadata = reader.text("metadata")?.into();
        let commit_ms = reader.i64("commit timestamp")?;
        let expire_ms = if version == WITH_EXPIRY { reader.i64("expire timestamp")? } else { NONE };
        let mut topic_id = None;
        reader.tags(|tag, value| {
            if tag == TOPIC_ID_TAG {
                let id = TopicId::from_slice(value).ok_or(FormatError::Malformed("topic id"))?;
                topic_id = Some(id).filter(|id| *id != TopicId::NIL);
            }
            Ok(())
        })?;
        reader.end("offset")?;
        Ok(Self {
            offset,
            leader_epoch: Some(epoch).filter(|epoch| *epoch != -1),
            metadata,
            commit_ms,
            expire_ms: Some(expire_ms).filter(|ms| *ms != NONE),
            topic_id,
        })
    }

    /// The bytes of the record's value. An offset with an expiry loses leader epoch and topic id,
    /// for which its version has no place; [`OffsetRecord::storable`] drops them beforehand.
    ///
    /// # Errors
    /// If the metadata is too long.
    pub fn encode(&self) -> Result<Bytes, TooLong> {
        let version = if self.expire_ms.is_some() { WITH_EXPIRY } else { KNOWN };
        let mut writer = Writer::new(version);
        writer.i64(self.offset);
        if let Some(expire_ms) = self.expire_ms {
            writer.text(&self.metadata, "metadata")?;
            writer.i64(self.commit_ms);
            writer.i64(expire_ms);
            return Ok(writer.finish());
        }
        writer.i32(self.leader_epoch.unwrap_or(-1));
        writer.compact_text(&self.metadata, "metadata")?;
        writer.i64(self.commit_ms);
        writer.tag(self.topic_id.as_ref().map(|id| (0, id.as_bytes().as_slice())));
        Ok(writer.finish())
    }

    /// This, as it will be read back: the state in memory takes it like that, so that it is the
    /// replayed state.
    #[must_use]
    pub fn storable(mut self) -> Self {
        if self.expire_ms.is_some() {
            self.leader_epoch = None;
            self.topic_id = None;
        }
        self
    }
}
