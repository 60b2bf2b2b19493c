//! A Raft entry: commands, each with its version and with who proposed it. The proposer encodes each
//! command once; the entry is their concatenation, each with its tag and length in front.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use odradek_common::limits::METADATA_ENTRY_COMMANDS;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, encode_key, encode_varint, skip_field};

use super::messages::{CommandRecord, EntryRecord};
use super::{COMMAND_VERSION, DecodeError, check_version};
use crate::command::Command;

const WHAT: &str = "an entry of the metadata log";

/// The tag of a command in its entry.
const COMMANDS_TAG: u32 = 1;

/// Who proposed a command: the one who waits for its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// A random number of the process; 0 for nobody.
    pub(crate) proposer: u64,
    /// Which of its proposals.
    pub(crate) sequence: u64,
}

/// What an entry holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Proposals {
    /// The commands.
    pub(crate) commands: Vec<Command>,
    /// Who proposed each of them.
    pub(crate) origins: Vec<Origin>,
}

/// Encodes one command that nobody waits for.
#[cfg(test)]
pub(crate) fn encode_command(command: &Command) -> Bytes {
    encode_proposal(command, Origin::default())
}

/// Encodes one command.
pub(crate) fn encode_proposal(command: &Command, origin: Origin) -> Bytes {
    let (proposer, sequence) = (origin.proposer, origin.sequence);
    let body = Some(command.into());
    CommandRecord { version: COMMAND_VERSION, body, proposer, sequence }.encode_to_vec().into()
}

/// Puts encoded commands into one entry.
pub(crate) fn encode_entry<'a>(commands: impl IntoIterator<Item = &'a Bytes>) -> Bytes {
    let mut entry = BytesMut::new();
    for command in commands {
        encode_key(COMMANDS_TAG, WireType::LengthDelimited, &mut entry);
        encode_varint(command.len() as u64, &mut entry);
        entry.put_slice(command);
    }
    entry.freeze()
}

/// The commands of an entry.
pub(crate) fn decode_entry(entry: &[u8]) -> Result<Proposals, DecodeError> {
    check_count(entry)?;
    let entry = EntryRecord::decode(entry).map_err(|error| DecodeError::damaged(WHAT, error))?;
    let mut proposals = Proposals::default();
    for record in entry.commands {
        check_version("a metadata command", record.version, COMMAND_VERSION)?;
        let body = record.body.ok_or(DecodeError::missing("a command"))?;
        proposals.commands.push(Command::try_from(body)?);
        let (proposer, sequence) = (record.proposer, record.sequence);
        proposals.origins.push(Origin { proposer, sequence });
    }
    Ok(proposals)
}

/// A command that is decoded takes a hundred times the bytes that an empty one has here.
fn check_count(mut entry: &[u8]) -> Result<(), DecodeError> {
    let damaged = |error| DecodeError::damaged(WHAT, error);
    let mut count = 0;
    while entry.has_remaining() {
        let (tag, wire_type) = decode_key(&mut entry).map_err(damaged)?;
        skip_field(wire_type, tag, &mut entry, DecodeContext::default()).map_err(damaged)?;
        count += 1;
    }
    if count > METADATA_ENTRY_COMMANDS {
        return Err(DecodeError::damaged(WHAT, format!("it has {count} commands")));
    }
    Ok(())
}
