//! The recorder of metrics, whose numbers `/metrics` shows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
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

/// What `/metrics` shows: a cheap handle.
#[derive(Clone)]
pub struct Shown {
    lasting: PrometheusHandle,
    /// Series whose labels come and go with groups and topics. A recorder never lets go of a series,
    /// so these are in one of their own, which is replaced as a whole.
    passing: Arc<ArcSwapOption<PrometheusHandle>>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl Shown {
    /// What was recorded at `lasting`, and nothing that passes yet.
    #[must_use]
    pub fn of(lasting: PrometheusHandle) -> Self {
        Self { lasting, passing: Arc::default() }
    }

    /// All metrics, in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.lasting.render();
        if let Some(passing) = &*self.passing.load() {
            text.push_str(&passing.render());
        }
        text
    }

    /// Shows the gauges that `set` sets, in place of those that the last call set.
    ///
    /// # Errors
    /// The recorder cannot be made.
    pub fn replace_passing(&self, set: impl FnOnce()) -> Result<(), RecorderError> {
        let recorder = build()?;
        metrics::with_local_recorder(&recorder, || {
            metric_names::describe();
            set();
        });
        self.passing.store(Some(Arc::new(recorder.handle())));
        Ok(())
    }
}

/// Makes the recorder of this process and describes all metrics. [`upkeep`] must run from then on.
///
/// # Errors
/// There is a recorder already.
pub fn install() -> Result<Shown, RecorderError> {
    let recorder = build()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    metric_names::describe();
    metric_names::begin();
    Ok(Shown::of(handle))
}

/// A recorder that is nobody's yet.
pub(crate) fn build() -> Result<PrometheusRecorder, BuildError> {
    let builder = PrometheusBuilder::new()
        .set_buckets(SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?;
    Ok(builder.build_recorder())
}

/// Keeps the memory of histograms bounded, until `shutdown`.
pub async fn upkeep(shown: Shown, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(UPKEEP_INTERVAL) => shown.lasting.run_upkeep(),
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

    #[test]
    fn what_passed_is_not_shown_any_more() {
        let lasting = build().unwrap();
        metrics::with_local_recorder(&lasting, || metrics::gauge!("lasting").set(1.0));
        let shown = Shown::of(lasting.handle());
        let set = |group: &'static str| {
            let lag = || metrics::gauge!(metric_names::GROUP_LAG, "group" => group).set(5.0);
            shown.replace_passing(lag).unwrap();
            shown.render()
        };
        assert!(set("a\"b\n").contains(r#"{group="a\"b\n"} 5"#), "whatever groups are called");
        let text = set("other");
        assert!(text.contains(r#"{group="other"} 5"#) && !text.contains(r#"a\"b"#), "{text}");
        assert!(text.contains("lasting 1") && text.contains("# HELP odradek_group_lag_records "));
    }

    #[tokio::test(start_paused = true)]
    async fn upkeep_ends_with_the_process() {
        let shown = Shown::of(build().unwrap().handle());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(upkeep(shown, shutdown.clone()));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!task.is_finished());
        shutdown.cancel();
        task.await.unwrap();
    }
}
