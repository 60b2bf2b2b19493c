//! The request header, versions 1 and 2: read before anything of the body is.

use super::DecodeError;
use crate::versions;
use crate::wire::{Cursor, Fault};
use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

/// What stands in front of every request that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API, one of [`versions::SERVED`].
    pub api: ApiKey,
    /// Its version, one that is served.
    pub version: i16,
    /// The client's number for the request, to be repeated in the answer.
    pub correlation_id: i32,
    /// What the client calls itself: at most 32,767 bytes, a slice of the frame.
    pub client_id: Option<StrBytes>,
}

impl RequestHeader {
    /// Cuts the header off a frame, which keeps the body. Tagged fields (header version 2) are
    /// passed over, as Kafka defines none.
    ///
    /// # Errors
    /// [`DecodeError::Header`], [`DecodeError::UnknownApi`], [`DecodeError::UnsupportedVersion`];
    /// the latter two are told from the first eight bytes alone, as what stands behind them
    /// depends on API and version. `frame` is then unchanged.
    pub fn split_from(frame: &mut Bytes) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(frame);
        let api_key = cursor.int16()?;
        let version = cursor.int16()?;
        let correlation_id = cursor.int32()?;
        let api = ApiKey::try_from(api_key).ok().filter(|api| versions::find(*api).is_some());
        let api = api.ok_or(DecodeError::UnknownApi { api_key, version })?;
        if !versions::is_served(api, version) {
            return Err(DecodeError::UnsupportedVersion { api, version, correlation_id });
        }
        // The client id never is compact, so that a broker can read it whatever the version.
        let client_id = cursor.string(false)?.map(|text| frame.slice_ref(text));
        if api.request_header_version(version) >= 2 {
            skip_tagged_fields(&mut cursor)?;
        }
        let client_id = client_id.map(StrBytes::from_utf8).transpose().map_err(|_| Fault::Utf8)?;
        let end = cursor.position();
        let _ = frame.split_to(end);
        Ok(Self { api, version, correlation_id, client_id })
    }
}

fn skip_tagged_fields(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    for _ in 0..cursor.uvarint()? {
        cursor.uvarint()?;
        let size = cursor.uvarint()?;
        cursor.take(usize::try_from(size).map_err(|_| Fault::Truncated)?)?;
    }
    Ok(())
}
