//! Requests: the header first, then the guard, then the decoder, on the bytes of the frame.

mod header;

pub use header::RequestHeader;

use crate::guard::{self, Fault, GuardError};
use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind};
use odradek_common::limits::REQUEST_ELEMENT_BYTES;

/// A request, decoded. Texts and bytes in it are slices of the frame and keep all of it in memory:
/// what outlives the request is to be copied, records excepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What stands in front of the body.
    pub header: RequestHeader,
    /// The body.
    pub body: RequestKind,
    /// Bytes of memory that it holds, by and large: the frame, and what was made of it.
    pub held_bytes: usize,
}

/// Why a frame is not a request that this broker serves.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The frame ends before its header does, or the header's text is malformed.
    #[error("a request header that is malformed: {0}")]
    Header(#[from] Fault),
    /// An API that this broker does not serve: the connection is to be closed.
    #[error("API {api_key} version {version} is not served")]
    UnknownApi {
        /// The API key, as it came.
        api_key: i16,
        /// The version, as it came.
        version: i16,
    },
    /// A version that this broker does not serve. For ApiVersions the answer is
    /// [`crate::response::unsupported_api_versions`] (KIP-511), for all others the connection is to
    /// be closed.
    #[error("{api:?} version {version} is not served")]
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// The version, as it came.
        version: i16,
        /// Of the request, for the answer.
        correlation_id: i32,
    },
    /// A body that the guard refuses: the connection is to be closed.
    #[error("{api:?} version {version} is malformed: {reason}")]
    Malformed {
        /// The API.
        api: ApiKey,
        /// Its version.
        version: i16,
        /// What is wrong with the body.
        reason: GuardError,
    },
    /// A body that passed the guard but not the decoder: the connection is to be closed.
    #[error("{api:?} version {version} cannot be decoded: {reason}")]
    Undecodable {
        /// The API.
        api: ApiKey,
        /// Its version.
        version: i16,
        /// What the decoder says.
        reason: String,
    },
}

/// Decodes a frame without its length.
///
/// # Errors
/// See [`DecodeError`]; nothing is allocated out of proportion to the frame before or after.
pub fn decode(frame: Bytes) -> Result<Request, DecodeError> {
    let frame_bytes = frame.len();
    let mut body = frame;
    let header = RequestHeader::split_from(&mut body)?;
    let (body, elements) = decode_measured(&header, body)?;
    let held_bytes = frame_bytes + elements * REQUEST_ELEMENT_BYTES;
    Ok(Request { header, body, held_bytes })
}

/// Decodes what stands behind a header.
///
/// # Errors
/// [`DecodeError::Malformed`] or [`DecodeError::Undecodable`].
pub fn decode_body(header: &RequestHeader, body: Bytes) -> Result<RequestKind, DecodeError> {
    decode_measured(header, body).map(|(body, _)| body)
}

/// The body, and the number of its elements.
fn decode_measured(
    header: &RequestHeader,
    mut body: Bytes,
) -> Result<(RequestKind, usize), DecodeError> {
    let RequestHeader { api, version, .. } = *header;
    let size = guard::measure(api, version, &body).map_err(|reason| DecodeError::Malformed {
        api,
        version,
        reason,
    })?;
    body.truncate(size.bytes);
    let undecodable = |reason| DecodeError::Undecodable { api, version, reason };
    let kind = RequestKind::decode(api, &mut body, version)
        .map_err(|error| undecodable(format!("{error:#}")))?;
    if body.is_empty() {
        Ok((kind, size.elements))
    } else {
        Err(undecodable(format!("{} bytes were left", body.len())))
    }
}

#[cfg(test)]
mod tests;
