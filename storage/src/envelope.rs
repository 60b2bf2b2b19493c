//! The envelope of everything that we write: what it is, in which version, how long, and its
//! CRC-32C. All numbers are big-endian.
//!
//! ```text
//! whole object   magic (4) · version (2) · payload length (4) · payload · CRC-32C (4)
//! footer         the same, then: length of all that (4) · magic (4)
//! ```
//!
//! The CRC covers everything before it. A footer stands at the end of an object and is found from
//! there: the last [`FOOTER_TAIL_BYTES`] say how long it is.

use bytes::{BufMut, Bytes, BytesMut};
use odradek_common::batch::crc32c;

/// Bytes of an envelope beside its payload.
pub const OVERHEAD_BYTES: usize = 14;
/// Bytes at the very end of an object with a footer, which say how long the footer is.
pub const FOOTER_TAIL_BYTES: usize = 8;

const HEADER_BYTES: usize = 10;

/// A kind of thing that is kept in an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What people call it.
    pub name: &'static str,
    /// Its first four bytes.
    pub magic: [u8; 4],
    /// The newest format version that this program writes and reads.
    pub version: u16,
}

/// Bytes that are not the envelope they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It does not begin (or, a footer, end) with the magic of its kind.
    #[error("this is not a {kind}: it is marked {found:02x?}")]
    Magic {
        /// The expected kind.
        kind: &'static str,
        /// The bytes in the magic's place.
        found: [u8; 4],
    },
    /// The lengths it states do not fit the bytes at hand.
    #[error("this {kind} is cut or damaged: {found} bytes where {stated} are stated")]
    Length {
        /// The kind.
        kind: &'static str,
        /// Bytes that the envelope says it has; the least an envelope has if that cannot be read.
        stated: u64,
        /// Bytes at hand.
        found: u64,
    },
    /// The CRC does not fit.
    #[error("this {kind} is damaged: CRC-32C {found:08x} where {stated:08x} is stated")]
    Crc {
        /// The kind.
        kind: &'static str,
        /// The CRC that stands in the envelope.
        stated: u32,
        /// The CRC of the bytes.
        found: u32,
    },
    /// A newer program wrote it.
    #[error(
        "this {kind} has format version {found}, written by a newer release; this one reads up to {known}"
    )]
    Newer {
        /// The kind.
        kind: &'static str,
        /// Its version.
        found: u16,
        /// The newest version known here.
        known: u16,
    },
    /// The envelope is sound but what is in it cannot be decoded.
    #[error("this {kind} cannot be decoded: {reason}")]
    Payload {
        /// The kind.
        kind: &'static str,
        /// What the decoder says.
        reason: String,
    },
}

/// The parts of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The format version, at most that of the kind.
    pub version: u16,
    /// What was put in.
    pub payload: Bytes,
}

impl Kind {
    /// Puts `payload` into an envelope of this kind.
    ///
    /// # Panics
    /// If the payload is 4 GiB or longer: what we write is bounded far below.
    #[must_use]
    pub fn seal(&self, payload: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(payload.len() + OVERHEAD_BYTES + FOOTER_TAIL_BYTES);
        self.seal_into(payload, &mut out);
        out.freeze()
    }

    /// Puts `payload` into an envelope that stands at the end of an object.
    ///
    /// # Panics
    /// If the payload is 4 GiB or longer: what we write is bounded far below.
    #[must_use]
    pub fn seal_footer(&self, payload: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(payload.len() + OVERHEAD_BYTES + FOOTER_TAIL_BYTES);
        self.seal_into(payload, &mut out);
        let length = length_u32(out.len());
        out.put_u32(length);
        out.put_slice(&self.magic);
        out.freeze()
    }

    fn seal_into(&self, payload: &[u8], out: &mut BytesMut) {
        out.put_slice(&self.magic);
        out.put_u16(self.version);
        out.put_u32(length_u32(payload.len()));
        out.put_slice(payload);
        let crc = crc32c(out);
        out.put_u32(crc);
    }

    /// Takes the payload out of `bytes`, which must be one whole envelope and nothing else.
    ///
    /// # Errors
    /// If it is not one of this kind, cut, damaged, or of a newer version.
    pub fn open(&self, bytes: &Bytes) -> Result<Opened, EnvelopeError> {
        let header = bytes.get(..HEADER_BYTES).ok_or_else(|| self.length(OVERHEAD_BYTES, bytes))?;
        let magic: [u8; 4] = array(header, 0);
        if magic != self.magic {
            return Err(EnvelopeError::Magic { kind: self.name, found: magic });
        }
        let payload_length = u64::from(u32::from_be_bytes(array(header, 6)));
        let stated_length = payload_length + OVERHEAD_BYTES as u64;
        if stated_length != bytes.len() as u64 {
            return Err(EnvelopeError::Length {
                kind: self.name,
                stated: stated_length,
                found: bytes.len() as u64,
            });
        }
        let crc_position = bytes.len() - 4;
        let (found, stated) =
            (crc32c(&bytes[..crc_position]), u32::from_be_bytes(array(bytes, crc_position)));
        if found != stated {
            return Err(EnvelopeError::Crc { kind: self.name, stated, found });
        }
        // Only now: a version that a flipped bit made must not be blamed on a newer release.
        let version = u16::from_be_bytes(array(header, 4));
        if version > self.version {
            return Err(EnvelopeError::Newer {
                kind: self.name,
                found: version,
                known: self.version,
            });
        }
        Ok(Opened { version, payload: bytes.slice(HEADER_BYTES..crc_position) })
    }

    /// How many bytes at the end of an object its footer takes, tail included, read from the last
    /// [`FOOTER_TAIL_BYTES`] or more of it. Nothing vouches for the number yet: compare it with
    /// the object's length and a limit before reading so much.
    ///
    /// # Errors
    /// If the object does not end with a footer of this kind.
    pub fn footer_bytes(&self, end_of_object: &[u8]) -> Result<u64, EnvelopeError> {
        let Some(tail_position) = end_of_object.len().checked_sub(FOOTER_TAIL_BYTES) else {
            return Err(self.length(FOOTER_TAIL_BYTES, end_of_object));
        };
        let magic: [u8; 4] = array(end_of_object, tail_position + 4);
        if magic != self.magic {
            return Err(EnvelopeError::Magic { kind: self.name, found: magic });
        }
        let length = u32::from_be_bytes(array(end_of_object, tail_position));
        Ok(u64::from(length) + FOOTER_TAIL_BYTES as u64)
    }

    /// Takes the payload out of the footer at the end of `end_of_object`, which holds at least
    /// [`Kind::footer_bytes`] of the object's end.
    ///
    /// # Errors
    /// If there is no footer of this kind, or it is cut, damaged, or of a newer version.
    pub fn open_footer(&self, end_of_object: &Bytes) -> Result<Opened, EnvelopeError> {
        let stated = self.footer_bytes(end_of_object)?;
        let length_error =
            EnvelopeError::Length { kind: self.name, stated, found: end_of_object.len() as u64 };
        let start = usize::try_from(stated)
            .ok()
            .and_then(|stated| end_of_object.len().checked_sub(stated))
            .ok_or(length_error)?;
        self.open(&end_of_object.slice(start..end_of_object.len() - FOOTER_TAIL_BYTES))
    }

    /// Puts a protobuf message into an envelope.
    #[must_use]
    pub fn seal_message<M: prost::Message>(&self, message: &M) -> Bytes {
        self.seal(&message.encode_to_vec())
    }

    /// Takes a protobuf message out of an envelope.
    ///
    /// # Errors
    /// As [`Kind::open`], or if the payload is not such a message.
    pub fn open_message<M: prost::Message + Default>(
        &self,
        bytes: &Bytes,
    ) -> Result<M, EnvelopeError> {
        self.decode(self.open(bytes)?)
    }

    /// Decodes the payload of an envelope of this kind as a protobuf message.
    ///
    /// # Errors
    /// If the payload is not such a message.
    pub fn decode<M: prost::Message + Default>(&self, opened: Opened) -> Result<M, EnvelopeError> {
        M::decode(opened.payload)
            .map_err(|e| EnvelopeError::Payload { kind: self.name, reason: e.to_string() })
    }

    fn length(&self, stated: usize, bytes: &[u8]) -> EnvelopeError {
        EnvelopeError::Length { kind: self.name, stated: stated as u64, found: bytes.len() as u64 }
    }
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("what is put into an envelope is shorter than 4 GiB")
}

/// The `N` bytes at `position`, whose presence the caller has checked.
fn array<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[position + i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIND: Kind = Kind { name: "test object", magic: *b"ODtt", version: 3 };

    #[test]
    fn the_layout_is_fixed() {
        let sealed = KIND.seal(b"hi");
        assert_eq!(&sealed[..12], b"ODtt\x00\x03\x00\x00\x00\x02hi");
        assert_eq!(sealed.len(), OVERHEAD_BYTES + 2);
        let footer = KIND.seal_footer(b"hi");
        assert_eq!(&footer[..16], &sealed[..]);
        assert_eq!(&footer[16..], b"\x00\x00\x00\x10ODtt");
    }

    #[test]
    fn a_newer_version_is_refused_and_an_older_one_is_told() {
        let newer = Kind { version: 4, ..KIND }.seal(b"x");
        let error = KIND.open(&newer).unwrap_err();
        assert_eq!(error, EnvelopeError::Newer { kind: "test object", found: 4, known: 3 });
        assert!(error.to_string().contains("newer release"), "{error}");
        let older = Kind { version: 1, ..KIND }.seal(b"x");
        assert_eq!(KIND.open(&older).unwrap().version, 1);
    }

    #[test]
    fn a_footer_is_found_from_the_end() {
        let mut object = b"data before ".to_vec();
        object.extend_from_slice(&KIND.seal_footer(b"foot"));
        let object = Bytes::from(object);
        assert_eq!(KIND.footer_bytes(&object).unwrap(), 4 + 14 + 8);
        assert_eq!(&KIND.open_footer(&object).unwrap().payload[..], b"foot");
        let too_little = object.slice(object.len() - 20..);
        assert!(matches!(KIND.open_footer(&too_little), Err(EnvelopeError::Length { .. })));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(payload: Vec<u8>) {
            prop_assert_eq!(&KIND.open(&KIND.seal(&payload)).unwrap().payload[..], &payload[..]);
            let footer = KIND.seal_footer(&payload);
            prop_assert_eq!(&KIND.open_footer(&footer).unwrap().payload[..], &payload[..]);
        }

        #[test]
        fn any_damage_is_seen(payload: Vec<u8>, at: prop::sample::Index, flip in 1u8..) {
            let mut sealed = KIND.seal(&payload).to_vec();
            let position = at.index(sealed.len());
            sealed[position] ^= flip;
            prop_assert!(KIND.open(&Bytes::from(sealed)).is_err());
            let mut footer = KIND.seal_footer(&payload).to_vec();
            let position = at.index(footer.len());
            footer[position] ^= flip;
            prop_assert!(KIND.open_footer(&Bytes::from(footer)).is_err());
        }

        #[test]
        fn any_cut_is_seen(payload: Vec<u8>, at: prop::sample::Index) {
            let sealed = KIND.seal(&payload);
            prop_assert!(KIND.open(&sealed.slice(..at.index(sealed.len()))).is_err());
        }

        #[test]
        fn noise_never_panics(noise: Vec<u8>) {
            let mut marked = noise.clone();
            marked.extend_from_slice(&KIND.magic);
            for bytes in [Bytes::from(noise), Bytes::from(marked)] {
                let _ = KIND.open(&bytes);
                let _ = KIND.open_footer(&bytes);
            }
        }
    }
}
