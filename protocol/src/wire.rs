//! The primitives of Kafka's wire, read with every length checked and written into plain vectors.

/// What is wrong with the next bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes end before the value does.
    #[error("the value runs past the end")]
    Truncated,
    /// A length that cannot be: negative, past the end, or over what the type allows.
    #[error("a length of {0} with {1} bytes left")]
    Length(i64, usize),
    /// Null where the protocol allows none.
    #[error("null is not allowed")]
    Null,
    /// A count of more elements than the bytes that are left can hold.
    #[error("a count of {0} elements with {1} bytes left")]
    Count(i64, usize),
    /// More elements than one request may have.
    #[error("too many elements in one request")]
    Elements,
    /// A variable-length number of more bits than it may have.
    #[error("a variable-length number of too many bits")]
    Varint,
    /// The marker in front of an optional structure is neither 1 nor -1.
    #[error("a marker of {0} in front of a structure")]
    Marker(i8),
    /// A tagged field that this version does not have.
    #[error("tag {0} is not of this version")]
    Tag(u32),
    /// A tagged field whose value does not fill its size.
    #[error("a tagged field of {size} bytes whose value takes {taken}")]
    TagSize {
        /// Bytes announced.
        size: usize,
        /// Bytes that the value takes.
        taken: usize,
    },
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    Utf8,
    /// An API or a version that is not served.
    #[error("not served")]
    NotServed,
}

/// Reads a message from front to back; never past its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).ok_or(Fault::Truncated)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut value = [0; N];
        value.copy_from_slice(self.take(N)?);
        Ok(value)
    }

    pub(crate) fn int8(&mut self) -> Result<i8, Fault> {
        self.array().map(i8::from_be_bytes)
    }

    pub(crate) fn int16(&mut self) -> Result<i16, Fault> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn int32(&mut self) -> Result<i32, Fault> {
        self.array().map(i32::from_be_bytes)
    }

    /// An unsigned variable-length number of at most 32 bits. What has a sixth byte, or more bits
    /// in its fifth, is refused: decoders do not agree on what it means.
    pub(crate) fn uvarint(&mut self) -> Result<u32, Fault> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array::<1>()?;
            if shift == 28 && byte > 0x0f {
                return Err(Fault::Varint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::Varint)
    }

    /// Passes over a string of 0 to 32,767 bytes, `None` for null, with its length in two bytes or
    /// (`compact`) as a variable-length number of one more.
    pub(crate) fn string(&mut self, compact: bool) -> Result<Option<&'a [u8]>, Fault> {
        let length =
            if compact { i64::from(self.uvarint()?) - 1 } else { i64::from(self.int16()?) };
        if length > i64::from(i16::MAX) {
            return Err(Fault::Length(length, self.remaining()));
        }
        self.sized(length)
    }

    /// Passes over bytes, `None` for null, with their length in four bytes or (`compact`) as a
    /// variable-length number of one more.
    pub(crate) fn bytes(&mut self, compact: bool) -> Result<Option<&'a [u8]>, Fault> {
        let length = self.count(compact)?;
        self.sized(length)
    }

    /// The count of an array, -1 for null.
    pub(crate) fn count(&mut self, compact: bool) -> Result<i64, Fault> {
        if compact { Ok(i64::from(self.uvarint()?) - 1) } else { self.int32().map(i64::from) }
    }

    /// A signed variable-length number of at most 64 bits, as records have them (zig-zag).
    pub(crate) fn varlong(&mut self) -> Result<i64, Fault> {
        let mut raw = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>()?;
            if shift == 63 && byte > 1 {
                return Err(Fault::Varint);
            }
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        Err(Fault::Varint)
    }

    /// A signed variable-length number of at most 32 bits.
    pub(crate) fn varint(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.varlong()?).map_err(|_| Fault::Varint)
    }

    /// A part of a record: its length as a signed variable-length number, -1 for null.
    pub(crate) fn record_bytes(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        let length = self.varint()?;
        self.sized(length.into())
    }

    fn sized(&mut self, length: i64) -> Result<Option<&'a [u8]>, Fault> {
        if length == -1 {
            return Ok(None);
        }
        let left = self.remaining();
        let fits = usize::try_from(length).ok().filter(|length| *length <= left);
        self.take(fits.ok_or(Fault::Length(length, left))?).map(Some)
    }
}

/// Appends an unsigned variable-length number.
pub(crate) fn put_uvarint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_of_more_than_32_bits_is_refused() {
        for bytes in [[0xff; 5], [0x80, 0x80, 0x80, 0x80, 0x10]] {
            assert_eq!(Cursor::new(&bytes).uvarint(), Err(Fault::Varint));
        }
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).uvarint(), Ok(u32::MAX));
        assert_eq!(Cursor::new(&[0x80]).uvarint(), Err(Fault::Truncated));
    }

    #[test]
    fn lengths_are_checked_against_what_is_left() {
        assert_eq!(Cursor::new(&[0x7f, 0xff]).string(false), Err(Fault::Length(32_767, 0)));
        assert_eq!(Cursor::new(&[0xff, 0xfe, 1]).string(false), Err(Fault::Length(-2, 1)));
        assert_eq!(Cursor::new(&[0xff, 0xff]).string(false), Ok(None));
        assert_eq!(Cursor::new(&[0]).bytes(true), Ok(None));
        let long = [&[0x81, 0x80, 0x02][..], &[0; 32_768]].concat();
        assert_eq!(Cursor::new(&long).string(true), Err(Fault::Length(32_768, 32_768)));
    }

    proptest! {
        #[test]
        fn numbers_round_trip(value: u32) {
            let mut bytes = Vec::new();
            put_uvarint(&mut bytes, value);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.uvarint(), Ok(value));
            prop_assert_eq!(cursor.remaining(), 0);
        }
    }
}
