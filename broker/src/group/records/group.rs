//! A group and its members, as of the end of a rebalance.

use std::sync::Arc;

use bytes::Bytes;

use super::wire::{FormatError, Reader, TooLong, Writer};

const KNOWN: i16 = 4;
const WRITTEN: i16 = 3;
const FLEXIBLE: i16 = 4;
/// The fewest bytes that a member takes, in any version.
const MEMBER_BYTES: usize = 8;
const NONE: i64 = -1;

/// A group (`GroupMetadataValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// What the members are, `consumer` or `connect`; `None` for a group that never had any.
    pub protocol_type: Option<Arc<str>>,
    /// The generation.
    pub generation: i32,
    /// The protocol chosen.
    pub protocol: Option<Arc<str>>,
    /// The leader's member id.
    pub leader: Option<Arc<str>>,
    /// Since when the group is in its state, ms since the Unix epoch.
    pub state_since_ms: Option<i64>,
    /// Its members.
    pub members: Vec<MemberRecord>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Its id, given by the coordinator.
    pub id: Arc<str>,
    /// Its `group.instance.id`, if it is a static member (KIP-345).
    pub instance_id: Option<Arc<str>>,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// Where its client is.
    pub client_host: Arc<str>,
    /// How long it has to join again in a rebalance.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// Its subscription under the protocol chosen.
    pub subscription: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

impl GroupRecord {
    /// From the bytes of a record's value, of any version.
    ///
    /// # Errors
    /// If they are malformed or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16("group version")?;
        if !(0..=KNOWN).contains(&version) {
            return Err(FormatError::Version { what: "a group", version, known: KNOWN });
        }
        reader.set_flexible(version >= FLEXIBLE);
        let protocol_type = reader.text("protocol type")?;
        let generation = reader.i32("generation")?;
        let protocol = reader.nullable_text("protocol")?.map(Into::into);
        let leader = reader.nullable_text("leader")?.map(Into::into);
        let since_ms = if version >= 2 { reader.i64("state timestamp")? } else { NONE };
        let count = reader.count(MEMBER_BYTES, "members")?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            members.push(MemberRecord::decode(&mut reader, version)?);
        }
        reader.tags(|_, _| Ok(()))?;
        reader.end("group")?;
        Ok(Self {
            protocol_type: Some(protocol_type).filter(|t| !t.is_empty()).map(Into::into),
            generation,
            protocol,
            leader,
            state_since_ms: Some(since_ms).filter(|ms| *ms != NONE),
            members,
        })
    }

    /// The bytes of the record's value.
    ///
    /// # Errors
    /// If a text is too long for its place.
    pub fn encode(&self) -> Result<Bytes, TooLong> {
        let mut writer = Writer::new(WRITTEN);
        writer.text(self.protocol_type.as_deref().unwrap_or(""), "protocol type")?;
        writer.i32(self.generation);
        writer.nullable_text(self.protocol.as_deref(), "protocol")?;
        writer.nullable_text(self.leader.as_deref(), "leader")?;
        writer.i64(self.state_since_ms.unwrap_or(NONE));
        writer.count(self.members.len(), "members")?;
        for member in &self.members {
            member.encode(&mut writer)?;
        }
        Ok(writer.finish())
    }
}

impl MemberRecord {
    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, FormatError> {
        let id = reader.text("member id")?.into();
        let instance_id = match version >= 3 {
            true => reader.nullable_text("group instance id")?.map(Into::into),
            false => None,
        };
        let client_id = reader.text("client id")?.into();
        let client_host = reader.text("client host")?.into();
        let rebalance_ms = if version >= 1 { reader.i32("rebalance time-out")? } else { -1 };
        let session_timeout_ms = reader.i32("session time-out")?;
        let subscription = Bytes::copy_from_slice(reader.bytes("subscription")?);
        let assignment = Bytes::copy_from_slice(reader.bytes("assignment")?);
        reader.tags(|_, _| Ok(()))?;
        let rebalance_timeout_ms =
            if rebalance_ms == -1 { session_timeout_ms } else { rebalance_ms };
        Ok(Self {
            id,
            instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms,
            session_timeout_ms,
            subscription,
            assignment,
        })
    }

    fn encode(&self, writer: &mut Writer) -> Result<(), TooLong> {
        writer.text(&self.id, "member id")?;
        writer.nullable_text(self.instance_id.as_deref(), "group instance id")?;
        writer.text(&self.client_id, "client id")?;
        writer.text(&self.client_host, "client host")?;
        writer.i32(self.rebalance_timeout_ms);
        writer.i32(self.session_timeout_ms);
        writer.bytes(&self.subscription, "subscription")?;
        writer.bytes(&self.assignment, "assignment")
    }
}
