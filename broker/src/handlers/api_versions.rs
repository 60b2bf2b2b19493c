//! ApiVersions (API 18): what is served, and nothing else.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use odradek_protocol::versions::SERVED;

use super::Context;

/// From this version on a client says its name and version (KIP-511).
const NAMED_SINCE: i16 = 3;

/// Serves ApiVersions.
pub(super) fn api_versions(context: &Context, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    let named = is_name(&request.client_software_name) && is_name(&request.client_software_version);
    if context.version >= NAMED_SINCE && !named {
        let code = ResponseError::InvalidRequest.code();
        return ApiVersionsResponse::default().with_error_code(code);
    }
    let keys = SERVED.iter().map(|served| {
        ApiVersion::default()
            .with_api_key(served.api as i16)
            .with_min_version(served.advertised_min)
            .with_max_version(served.max)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect()).with_finalized_features_epoch(-1)
}

/// Letters, digits, `-` and `.`, not at the ends: Kafka's rule for a client's name and version.
fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let outer = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.iter().all(|b| inner(*b)) && outer(bytes.first()) && outer(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_those_that_kafka_takes() {
        assert!(is_name("apache-kafka-java") && is_name("4.1.1") && is_name("a"));
        assert!(!is_name("") && !is_name("-a") && !is_name("a.") && !is_name("a b"));
    }
}
