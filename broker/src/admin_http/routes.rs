//! What the admin server answers.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;

use super::recorder::Shown;
use super::{Check, Readiness};

#[derive(Clone)]
struct Served {
    metrics: Shown,
    /// Held while metrics are written: thousands of requests for them take one thread, not all.
    writing: Arc<Mutex<()>>,
    readiness: Arc<dyn Readiness>,
}

/// All routes.
pub(super) fn router(metrics: Shown, readiness: Arc<dyn Readiness>) -> Router {
    Router::new()
        .route("/", get(|| async { "/livez\n/readyz\n/readyz?format=json\n/metrics\n" }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(shown_metrics))
        .with_state(Served { metrics, writing: Arc::default(), readiness })
}

async fn shown_metrics(State(served): State<Served>) -> Response {
    let content_type = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let _turn = served.writing.lock().await;
    match tokio::task::spawn_blocking(move || served.metrics.render()).await {
        Ok(text) => (content_type, text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ready(
    State(served): State<Served>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let checks = served.readiness.checks();
    let is_ready = checks.iter().all(|check| check.passed || !check.required);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wants_json =
        query.as_deref() == Some("format=json") || accepts.contains("application/json");
    if wants_json {
        let body = serde_json::json!({ "ready": is_ready, "checks": checks }).to_string();
        (status, [(CONTENT_TYPE, "application/json")], body).into_response()
    } else {
        (status, as_text(is_ready, &checks)).into_response()
    }
}

fn as_text(is_ready: bool, checks: &[Check]) -> String {
    let mut text = String::from(if is_ready { "ready\n" } else { "not ready\n" });
    for check in checks {
        let mark = match (check.passed, check.required) {
            (true, _) => "ok",
            (false, true) => "FAILED",
            (false, false) => "warning",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{mark:8}{}: {}", check.name, check.detail);
    }
    text
}
