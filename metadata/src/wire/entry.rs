//! A Raft entry: commands, each with its version and with who proposed it. The proposer encodes each
//! command once; the entry is their concatenation, each with its tag and length in front.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use odradek_common::limits::{
    METADATA_COMMAND_ELEMENTS, METADATA_ENTRY_BYTES, METADATA_ENTRY_COMMANDS,
};
use prost::Message;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

use super::messages::{CommandRecord, EntryRecord};
use super::{COMMAND_VERSION, DecodeError, check_version};
use crate::command::Command;

const WHAT: &str = "an entry of the metadata log";

/// The tag of a command in its entry.
const COMMANDS_TAG: u32 = 1;

/// How deep messages lie in a command: its body, the items, what they name, and the ids of that.
const COMMAND_DEPTH: usize = 3;

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

/// Whether the entry that a node proposes may be decoded: two bytes make an element, which takes a
/// hundred and more then. What the state machine refuses is told apart later.
pub(crate) fn check_proposal(entry: &[u8]) -> Result<(), DecodeError> {
    if entry.len() > METADATA_ENTRY_BYTES {
        return Err(DecodeError::damaged(WHAT, "it is too long"));
    }
    check_count(entry)?;
    for_each_part(entry, &mut check_command)
}

/// The same of one encoded command.
pub(crate) fn check_command(command: &[u8]) -> Result<(), DecodeError> {
    let mut room = METADATA_COMMAND_ELEMENTS;
    if count_elements(command, COMMAND_DEPTH, &mut room) {
        Ok(())
    } else {
        Err(DecodeError::damaged("a metadata command", "it has too many elements"))
    }
}

/// Counts the elements of a message, and of those in it, down from `room`; false if there are more.
fn count_elements(message: &[u8], depth: usize, room: &mut usize) -> bool {
    let mut fits = true;
    // What is no message is a text, and whole.
    let _ = for_each_part(message, &mut |part| {
        fits = fits && *room > 0 && {
            *room -= 1;
            depth == 0 || count_elements(part, depth - 1, room)
        };
        if fits { Ok(()) } else { Err(DecodeError::damaged(WHAT, "it has too many elements")) }
    });
    fits
}

/// Shows the content of each field of a message that has a length.
fn for_each_part(
    mut message: &[u8],
    visit: &mut impl FnMut(&[u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let damaged = |error| DecodeError::damaged(WHAT, error);
    while message.has_remaining() {
        let (tag, wire_type) = decode_key(&mut message).map_err(damaged)?;
        if wire_type != WireType::LengthDelimited {
            skip_field(wire_type, tag, &mut message, DecodeContext::default()).map_err(damaged)?;
            continue;
        }
        let length = decode_varint(&mut message).map_err(damaged)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let cut_short = || DecodeError::damaged(WHAT, "it is cut short");
        let (part, rest) = message.split_at_checked(length).ok_or_else(cut_short)?;
        visit(part)?;
        message = rest;
    }
    Ok(())
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
