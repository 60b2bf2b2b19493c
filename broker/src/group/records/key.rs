//! The keys: a type (16 bits, it stands where Kafka's generated code has the version), then fields.

use std::sync::Arc;

use bytes::Bytes;

use super::wire::{FormatError, Reader, TooLong, Writer};

const LEGACY_OFFSET: i16 = 0;
const OFFSET: i16 = 1;
const GROUP: i16 = 2;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// An offset of a group in a partition.
    Offset {
        /// The group.
        group: Arc<str>,
        /// The topic's name.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
    },
    /// The members of a group.
    Group(Arc<str>),
    /// A type that this broker does not know: of a newer broker, or of a later protocol.
    Unknown(i16),
}

impl RecordKey {
    /// From the bytes of a record's key.
    ///
    /// # Errors
    /// If a key of a known type is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        let key = match reader.i16("key type")? {
            LEGACY_OFFSET | OFFSET => Self::Offset {
                group: reader.text("group")?.into(),
                topic: reader.text("topic")?.into(),
                partition: reader.i32("partition")?,
            },
            GROUP => Self::Group(reader.text("group")?.into()),
            unknown => return Ok(Self::Unknown(unknown)),
        };
        reader.end("key")?;
        Ok(key)
    }

    /// The key of an offset.
    ///
    /// # Errors
    /// If a name is too long.
    pub fn encode_offset(group: &str, topic: &str, partition: i32) -> Result<Bytes, TooLong> {
        let mut writer = Writer::new(OFFSET);
        writer.text(group, "group")?;
        writer.text(topic, "topic")?;
        writer.i32(partition);
        Ok(writer.finish())
    }

    /// The key of a group.
    ///
    /// # Errors
    /// If its name is too long.
    pub fn encode_group(group: &str) -> Result<Bytes, TooLong> {
        let mut writer = Writer::new(GROUP);
        writer.text(group, "group")?;
        Ok(writer.finish())
    }
}
