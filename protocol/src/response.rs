//! Answers: length, header and body in one buffer. Fetch has an encoder of its own in
//! [`crate::fetch`], which does not copy records.

use crate::versions::{self, SERVED};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, ResponseKind};

/// Capacity to begin an answer with: most are below it.
const FIRST_BYTES: usize = 256;

/// Why an answer cannot be encoded: a defect of the broker, not of the peer.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The API or the version is not served.
    #[error("{api:?} version {version} is not served")]
    NotServed {
        /// The API.
        api: ApiKey,
        /// The version.
        version: i16,
    },
    /// A field is set that the version does not have, or a text is too long for it.
    #[error("an answer to {api:?} version {version} cannot be encoded: {reason}")]
    Body {
        /// The API.
        api: ApiKey,
        /// The version.
        version: i16,
        /// What the encoder says.
        reason: String,
    },
    /// More bytes than the four bytes of a length can tell.
    #[error("an answer of {0} bytes is too long for a frame")]
    TooLong(usize),
}

/// Encodes an answer to a request of `api` and `version` as a frame, its length in front.
///
/// # Errors
/// See [`EncodeError`]; a body of another API is [`EncodeError::NotServed`] or nonsense to the
/// client, so handlers take the body's type from the request's.
pub fn encode(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &ResponseKind,
) -> Result<Bytes, EncodeError> {
    if !versions::is_served(api, version) {
        return Err(EncodeError::NotServed { api, version });
    }
    let mut frame = BytesMut::with_capacity(FIRST_BYTES);
    frame.put_i32(0);
    put_header(&mut frame, api, version, correlation_id);
    body.encode(&mut frame, version).map_err(|error| EncodeError::Body {
        api,
        version,
        reason: format!("{error:#}"),
    })?;
    let length = frame_length(frame.len())?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// The answer to an ApiVersions request of a version that is not served: version 0, with the error
/// and the versions of ApiVersions itself (KIP-511).
#[must_use]
pub fn unsupported_api_versions(correlation_id: i32) -> Bytes {
    let own = SERVED.iter().filter(|row| row.api == ApiKey::ApiVersions).map(|row| {
        ApiVersion::default()
            .with_api_key(row.api as i16)
            .with_min_version(row.advertised_min)
            .with_max_version(row.max)
    });
    let body = ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(own.collect());
    encode(ApiKey::ApiVersions, 0, correlation_id, &body.into()).unwrap_or_default()
}

/// Puts the response header: version 1 has tagged fields, of which Kafka defines none. ApiVersions
/// always has version 0, so that a client can read the answer whatever it asked.
pub(crate) fn put_header(out: &mut impl BufMut, api: ApiKey, version: i16, correlation_id: i32) {
    out.put_i32(correlation_id);
    if api.response_header_version(version) >= 1 {
        out.put_u8(0);
    }
}

/// What the length field of a frame of `total` bytes, itself included, says.
pub(crate) fn frame_length(total: usize) -> Result<i32, EncodeError> {
    i32::try_from(total.saturating_sub(4)).map_err(|_| EncodeError::TooLong(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{HeartbeatResponse, MetadataResponse};

    #[test]
    fn an_answer_has_its_length_and_its_header_in_front() {
        let body = HeartbeatResponse::default().with_error_code(27).into();
        let old = encode(ApiKey::Heartbeat, 0, 5, &body).unwrap();
        assert_eq!(&old[..], [0, 0, 0, 6, 0, 0, 0, 5, 0, 27]);
        let flexible = encode(ApiKey::Heartbeat, 4, 5, &body).unwrap();
        assert_eq!(&flexible[..], [0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 27, 0]);
    }

    #[test]
    fn api_versions_has_the_old_header_at_every_version() {
        for version in 0..=4 {
            let body = ApiVersionsResponse::default().with_error_code(1).into();
            let frame = encode(ApiKey::ApiVersions, version, 5, &body).unwrap();
            assert_eq!(frame[8..10], [0, 1], "version {version}");
        }
    }

    #[test]
    fn an_unknown_api_versions_is_answered_as_kip_511_says() {
        let frame = unsupported_api_versions(9);
        let expected = [0, 0, 0, 16, 0, 0, 0, 9, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
        assert_eq!(&frame[..], expected);
    }

    #[test]
    fn what_a_version_does_not_have_is_an_error() {
        let body = MetadataResponse::default().with_controller_id(3.into()).into();
        assert!(encode(ApiKey::Metadata, 1, 5, &body).is_ok());
        let unserved = encode(ApiKey::Metadata, 14, 5, &body);
        assert!(matches!(unserved, Err(EncodeError::NotServed { version: 14, .. })));
    }
}
