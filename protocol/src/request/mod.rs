//! Requests: the header first, then the guard, then the decoder, on the bytes of the frame.

mod header;

pub use header::RequestHeader;

use crate::guard::{self, Fault, GuardError};
use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind};
use odradek_common::limits::{REQUEST_ELEMENT_BYTES, REQUEST_ELEMENTS};

/// A request, decoded. Texts and bytes in it are slices of the frame and keep all of it in memory:
/// what outlives the request is to be copied, records excepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What stands in front of the body.
    pub header: RequestHeader,
    /// The body.
    pub body: RequestKind,
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

/// A request that the guard has passed and that is not decoded yet.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What stands in front of the body.
    pub header: RequestHeader,
    body: Bytes,
    elements: usize,
    frame_bytes: usize,
}

impl DecodeError {
    /// True if what is wrong is that the request has more elements than it was allowed.
    #[must_use]
    pub fn is_too_many_elements(&self) -> bool {
        matches!(self, Self::Malformed { reason: GuardError { fault: Fault::Elements, .. }, .. })
    }
}

impl Checked {
    /// Elements that it decodes to: what decoding it and answering it takes grows with them.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Bytes of the frame, all of which whatever is sliced from it keeps in memory.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Bytes of memory that it holds once it is decoded, by and large: the frame, and what is made of
    /// it.
    #[must_use]
    pub fn decoded_bytes(&self) -> usize {
        self.frame_bytes + self.elements * REQUEST_ELEMENT_BYTES
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`DecodeError::Undecodable`].
    pub fn decode(self) -> Result<Request, DecodeError> {
        let Self { header, mut body, .. } = self;
        let RequestHeader { api, version, .. } = header;
        let undecodable = |reason| DecodeError::Undecodable { api, version, reason };
        let kind = RequestKind::decode(api, &mut body, version)
            .map_err(|error| undecodable(format!("{error:#}")))?;
        if body.is_empty() {
            Ok(Request { header, body: kind })
        } else {
            Err(undecodable(format!("{} bytes were left", body.len())))
        }
    }
}

/// Reads the header of a frame without its length, and checks the body, which may have at most so
/// many elements.
///
/// # Errors
/// See [`DecodeError`]; nothing is allocated.
pub fn check(frame: Bytes, elements: usize) -> Result<Checked, DecodeError> {
    let frame_bytes = frame.len();
    let mut body = frame;
    let header = RequestHeader::split_from(&mut body)?;
    Ok(Checked { frame_bytes, ..check_body(header, body, elements)? })
}

/// Decodes a frame without its length.
///
/// # Errors
/// See [`DecodeError`]; nothing is allocated out of proportion to the frame before or after.
pub fn decode(frame: Bytes) -> Result<Request, DecodeError> {
    check(frame, REQUEST_ELEMENTS)?.decode()
}

/// Decodes what stands behind a header.
///
/// # Errors
/// [`DecodeError::Malformed`] or [`DecodeError::Undecodable`].
pub fn decode_body(header: &RequestHeader, body: Bytes) -> Result<RequestKind, DecodeError> {
    Ok(check_body(header.clone(), body, REQUEST_ELEMENTS)?.decode()?.body)
}

fn check_body(
    header: RequestHeader,
    mut body: Bytes,
    elements: usize,
) -> Result<Checked, DecodeError> {
    let RequestHeader { api, version, .. } = header;
    let size = guard::measure(api, version, &body, elements)
        .map_err(|reason| DecodeError::Malformed { api, version, reason })?;
    let frame_bytes = body.len();
    body.truncate(size.bytes);
    Ok(Checked { header, body, elements: size.elements, frame_bytes })
}

#[cfg(test)]
mod tests;
