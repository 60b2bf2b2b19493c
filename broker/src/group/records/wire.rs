//! Kafka's primitive types, checked both ways.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest text of Kafka's record formats, in bytes.
const TEXT_BYTES: usize = 0x7fff;

/// Bytes that are not a record of the format they claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A length or count past the end, a text that is not UTF-8, or the like.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A version newer than this broker knows.
    #[error("version {version} of {what} is not known, only up to {known}")]
    Version {
        /// Which record.
        what: &'static str,
        /// Its version.
        version: i16,
        /// The newest known.
        known: i16,
    },
}

/// A text or an array too long for the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is too long for its record")]
pub struct TooLong(pub &'static str);

type Read<T> = Result<T, FormatError>;

/// Reads a record from its bytes; `flexible` says which encoding of lengths is in force.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: false }
    }

    pub(super) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub(super) fn i16(&mut self, what: &'static str) -> Read<i16> {
        self.rest.try_get_i16().map_err(|_| FormatError::Malformed(what))
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Read<i32> {
        self.rest.try_get_i32().map_err(|_| FormatError::Malformed(what))
    }

    pub(super) fn i64(&mut self, what: &'static str) -> Read<i64> {
        self.rest.try_get_i64().map_err(|_| FormatError::Malformed(what))
    }

    pub(super) fn text(&mut self, what: &'static str) -> Read<&'a str> {
        self.nullable_text(what)?.ok_or(FormatError::Malformed(what))
    }

    pub(super) fn nullable_text(&mut self, what: &'static str) -> Read<Option<&'a str>> {
        let length = if self.flexible { self.varint(what)? - 1 } else { self.i16(what)?.into() };
        let Some(bytes) = self.take(length, what)? else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| FormatError::Malformed(what))
    }

    pub(super) fn bytes(&mut self, what: &'static str) -> Read<&'a [u8]> {
        let length = if self.flexible { self.varint(what)? - 1 } else { self.i32(what)?.into() };
        self.take(length, what)?.ok_or(FormatError::Malformed(what))
    }

    /// A count of elements of at least `element_bytes` each: never more than there can be.
    pub(super) fn count(&mut self, element_bytes: usize, what: &'static str) -> Read<usize> {
        let count = if self.flexible { self.varint(what)? - 1 } else { self.i32(what)?.into() };
        let count = usize::try_from(count).map_err(|_| FormatError::Malformed(what))?;
        if count > self.rest.len() / element_bytes {
            return Err(FormatError::Malformed(what));
        }
        Ok(count)
    }

    /// The tagged fields at the end of a flexible structure (KIP-482), each given to `each`.
    pub(super) fn tags(&mut self, mut each: impl FnMut(i64, &[u8]) -> Read<()>) -> Read<()> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint("tags")? {
            let tag = self.varint("tag")?;
            let length = self.varint("tag")?;
            let value = self.take(length, "tag")?.ok_or(FormatError::Malformed("tag"))?;
            each(tag, value)?;
        }
        Ok(())
    }

    pub(super) fn end(&self, what: &'static str) -> Read<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(FormatError::Malformed(what)) }
    }

    /// `None` for a length of -1, which stands for null.
    fn take(&mut self, length: i64, what: &'static str) -> Read<Option<&'a [u8]>> {
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| FormatError::Malformed(what))?;
        let split = self.rest.split_at_checked(length);
        let (head, tail) = split.ok_or(FormatError::Malformed(what))?;
        self.rest = tail;
        Ok(Some(head))
    }

    /// An unsigned number of up to five bytes, seven bits each.
    fn varint(&mut self, what: &'static str) -> Read<i64> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.rest.try_get_u8().map_err(|_| FormatError::Malformed(what))?;
            number |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(FormatError::Malformed(what))
    }
}

/// Writes a record.
pub(super) struct Writer(BytesMut);

impl Writer {
    pub(super) fn new(first: i16) -> Self {
        let mut bytes = BytesMut::with_capacity(64);
        bytes.put_i16(first);
        Self(bytes)
    }

    pub(super) fn i32(&mut self, number: i32) {
        self.0.put_i32(number);
    }

    pub(super) fn i64(&mut self, number: i64) {
        self.0.put_i64(number);
    }

    pub(super) fn text(&mut self, text: &str, what: &'static str) -> Result<(), TooLong> {
        let length = i16::try_from(text.len()).map_err(|_| TooLong(what))?;
        self.0.put_i16(length);
        self.0.put_slice(text.as_bytes());
        Ok(())
    }

    pub(super) fn nullable_text(
        &mut self,
        text: Option<&str>,
        what: &'static str,
    ) -> Result<(), TooLong> {
        match text {
            Some(text) => self.text(text, what)?,
            None => self.0.put_i16(-1),
        }
        Ok(())
    }

    pub(super) fn compact_text(&mut self, text: &str, what: &'static str) -> Result<(), TooLong> {
        if text.len() > TEXT_BYTES {
            return Err(TooLong(what));
        }
        self.varint(text.len() + 1);
        self.0.put_slice(text.as_bytes());
        Ok(())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8], what: &'static str) -> Result<(), TooLong> {
        self.count(bytes.len(), what)?;
        self.0.put_slice(bytes);
        Ok(())
    }

    pub(super) fn count(&mut self, count: usize, what: &'static str) -> Result<(), TooLong> {
        self.0.put_i32(i32::try_from(count).map_err(|_| TooLong(what))?);
        Ok(())
    }

    /// No tagged field, or the one given.
    pub(super) fn tag(&mut self, tag: Option<(usize, &[u8])>) {
        self.varint(usize::from(tag.is_some()));
        if let Some((tag, value)) = tag {
            self.varint(tag);
            self.varint(value.len());
            self.0.put_slice(value);
        }
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.freeze()
    }

    fn varint(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.0.put_u8(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
            number >>= 7;
        }
        self.0.put_u8(u8::try_from(number).unwrap_or(0));
    }
}
