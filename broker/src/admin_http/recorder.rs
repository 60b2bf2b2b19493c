//! The recorder of metrics, whose numbers `/metrics` shows.

use std::time::Duration;

use metrics::SetRecorderError;
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tokio_util::sync::CancellationToken;

use crate::metric_names;

/// Upper ends of the buckets of every histogram of seconds: from a disk's sync to a client's patience.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];

/// How often recorded values are folded into their buckets when nobody asks for them. Until then each
/// takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why metrics are not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The buckets are wrong.
    #[error("metrics: {0}")]
    Build(#[from] BuildError),
    /// There is a recorder already.
    #[error("metrics: {0}")]
    Installed(#[from] SetRecorderError<PrometheusRecorder>),
}

/// Makes the recorder of this process and describes all metrics. [`upkeep`] must run from then on.
///
/// # Errors
/// There is a recorder already.
pub fn install() -> Result<PrometheusHandle, RecorderError> {
    let recorder = build()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    metric_names::describe();
    Ok(handle)
}

/// A recorder that is nobody's yet.
pub(crate) fn build() -> Result<PrometheusRecorder, BuildError> {
    let builder = PrometheusBuilder::new()
        .set_buckets(SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?;
    Ok(builder.build_recorder())
}

/// Keeps the memory of histograms bounded, until `shutdown`.
pub async fn upkeep(handle: PrometheusHandle, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(UPKEEP_INTERVAL) => handle.run_upkeep(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_are_described_and_histograms_have_buckets() {
        let recorder = build().unwrap();
        metrics::with_local_recorder(&recorder, || {
            metric_names::describe();
            for metric in metric_names::all() {
                match metric.kind {
                    metric_names::MetricKind::Counter => {
                        metrics::counter!(metric.name).increment(1);
                    }
                    metric_names::MetricKind::Gauge => metrics::gauge!(metric.name).set(1.0),
                    metric_names::MetricKind::Histogram => {
                        metrics::histogram!(metric.name).record(0.02);
                    }
                }
            }
        });
        let shown = recorder.handle().render();
        for metric in metric_names::all() {
            let Some(line) =
                shown.lines().find(|l| l.starts_with(&format!("# HELP {} ", metric.name)))
            else {
                panic!("{} is not described in\n{shown}", metric.name)
            };
            assert!(line.ends_with(metric.doc), "{line}");
        }
        assert!(shown.contains("odradek_wal_put_seconds_bucket{le=\"0.02\"} 1"));
        assert!(!shown.contains("quantile"), "no histogram is a summary");
    }

    #[tokio::test(start_paused = true)]
    async fn upkeep_ends_with_the_process() {
        let handle = build().unwrap().handle();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(upkeep(handle, shutdown.clone()));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!task.is_finished());
        shutdown.cancel();
        task.await.unwrap();
    }
}
