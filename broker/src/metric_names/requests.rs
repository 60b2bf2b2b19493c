//! The metrics of a request that was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

use super::{REQUEST_ERRORS, REQUEST_SECONDS, REQUESTS};

/// The highest number of an API that is named; Kafka 4.1 ends at 92.
const API_KEY_MAX: i16 = 127;

static API_NAMES: LazyLock<BTreeMap<i16, String>> = LazyLock::new(|| {
    let name = |key: i16| ApiKey::try_from(key).ok().map(|api| (key, format!("{api:?}")));
    (0..=API_KEY_MAX).filter_map(name).collect()
});

/// Counts a request: once by its API, once for each different error in its answer, and how long it
/// took from the last byte read to the answer ready.
pub fn count_request(api: ApiKey, errors: &BTreeSet<i16>, took: Duration) {
    let api = API_NAMES.get(&(api as i16)).map_or("unknown", String::as_str);
    metrics::counter!(REQUESTS, "api" => api).increment(1);
    metrics::histogram!(REQUEST_SECONDS, "api" => api).record(took.as_secs_f64());
    for code in errors {
        let Some(error) = ResponseError::try_from_code(*code) else { continue };
        let error = format!("{error:?}");
        metrics::counter!(REQUEST_ERRORS, "api" => api, "error" => error).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin_http::recorder;

    #[test]
    fn a_request_is_counted_by_api_and_error() {
        let recorder = recorder::build().unwrap();
        metrics::with_local_recorder(&recorder, || {
            count_request(ApiKey::Produce, &BTreeSet::new(), Duration::from_millis(3));
            count_request(ApiKey::Produce, &[3, 9999].into(), Duration::from_millis(30));
        });
        let shown = recorder.handle().render();
        for line in [
            "odradek_requests_total{api=\"Produce\"} 2",
            "odradek_request_errors_total{api=\"Produce\",error=\"UnknownTopicOrPartition\"} 1",
            "odradek_request_errors_total{api=\"Produce\",error=\"Unknown(9999)\"} 1",
            "odradek_request_seconds_bucket{api=\"Produce\",le=\"0.005\"} 1",
            "odradek_request_seconds_count{api=\"Produce\"} 2",
        ] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
    }
}
