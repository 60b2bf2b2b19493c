//! The records of an uncompressed batch, walked in place.

use super::BatchError;

/// One record, its key and value as slices of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Less the batch's base timestamp, in ms.
    pub timestamp_delta: i64,
    /// Less the batch's base offset.
    pub offset_delta: i32,
    /// The key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value, `None` for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Walks records by their lengths: exactly `count` of them, exactly as many bytes as there are. Returns
/// the largest timestamp delta, in ms.
///
/// # Errors
/// The first record that runs over its end or has the wrong offset delta, or bytes left over.
pub fn walk_uncompressed(bytes: &[u8], count: i32) -> Result<i64, BatchError> {
    let mut records = Records::new(bytes, count);
    let mut newest_delta = i64::MIN;
    for record in records.by_ref() {
        newest_delta = newest_delta.max(record?.timestamp_delta);
    }
    if records.rest.is_empty() {
        Ok(newest_delta)
    } else {
        Err(BatchError::Record { index: count, what: "bytes behind the last record" })
    }
}

/// An iterator over the records in uncompressed bytes; ends after the first error.
#[derive(Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    index: i32,
    count: i32,
}

impl<'a> Records<'a> {
    /// Over the `count` records that lie in `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], count: i32) -> Self {
        Self { rest: bytes, index: 0, count }
    }

    fn next_record(&mut self) -> Result<RecordView<'a>, &'static str> {
        let length = varint(&mut self.rest)?;
        let mut body = take(&mut self.rest, length)?;
        take(&mut body, 1)?; // attributes, unused
        let timestamp_delta = varlong(&mut body)?;
        let offset_delta = varint(&mut body)?;
        if offset_delta != self.index {
            return Err("offset delta out of order");
        }
        let key = nullable(&mut body)?;
        let value = nullable(&mut body)?;
        let headers = varint(&mut body)?;
        if headers < 0 {
            return Err("negative count of headers");
        }
        for _ in 0..headers {
            let key_length = varint(&mut body)?;
            take(&mut body, key_length)?;
            nullable(&mut body)?;
        }
        if !body.is_empty() {
            return Err("bytes left over in it");
        }
        Ok(RecordView { timestamp_delta, offset_delta, key, value })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return None;
        }
        let index = self.index;
        let record = self.next_record();
        self.index = if record.is_ok() { index + 1 } else { self.count };
        Some(record.map_err(|what| BatchError::Record { index, what }))
    }
}

fn nullable<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
    let length = varint(bytes)?;
    if length == -1 { Ok(None) } else { take(bytes, length).map(Some) }
}

fn take<'a>(bytes: &mut &'a [u8], length: i32) -> Result<&'a [u8], &'static str> {
    let length = usize::try_from(length).map_err(|_| "negative length")?;
    let (head, tail) = bytes.split_at_checked(length).ok_or("length past the end")?;
    *bytes = tail;
    Ok(head)
}

fn varint(bytes: &mut &[u8]) -> Result<i32, &'static str> {
    i32::try_from(varlong(bytes)?).map_err(|_| "number over 32 bits")
}

/// A zig-zag variable-length number of up to ten bytes.
fn varlong(bytes: &mut &[u8]) -> Result<i64, &'static str> {
    let mut raw = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or("number past the end")?;
        *bytes = rest;
        raw |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
        }
    }
    Err("number of more than ten bytes")
}
