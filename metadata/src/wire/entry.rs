//! A Raft entry: commands, each with its version. The proposer encodes each command once; the
//! entry is their concatenation, each with its tag and length in front.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::messages::{CommandRecord, EntryRecord};
use super::{COMMAND_VERSION, DecodeError, check_version};
use crate::command::Command;

/// Encodes one command.
pub(crate) fn encode_command(command: &Command) -> Bytes {
    let record = CommandRecord { version: COMMAND_VERSION, body: Some(command.into()) };
    record.encode_to_vec().into()
}

/// Puts encoded commands into one entry.
pub(crate) fn encode_entry<'a>(commands: impl IntoIterator<Item = &'a Bytes>) -> Bytes {
    let mut entry = BytesMut::new();
    for command in commands {
        encode_key(1, WireType::LengthDelimited, &mut entry);
        encode_varint(command.len() as u64, &mut entry);
        entry.put_slice(command);
    }
    entry.freeze()
}

/// The commands of an entry.
pub(crate) fn decode_entry(entry: &[u8]) -> Result<Vec<Command>, DecodeError> {
    const WHAT: &str = "an entry of the metadata log";
    let entry = EntryRecord::decode(entry).map_err(|error| DecodeError::damaged(WHAT, error))?;
    let decode = |record: CommandRecord| {
        check_version("a metadata command", record.version, COMMAND_VERSION)?;
        let body = record.body.ok_or(DecodeError::missing("a command"))?;
        Command::try_from(body)
    };
    entry.commands.into_iter().map(decode).collect()
}
