//! The admin HTTP server: `/livez`, `/readyz` and `/metrics` at `admin.listen`.
//!
//! `/livez` answers 200 while the process serves HTTP at all: a 200 says that restarting it would not
//! help. `/readyz` answers 200 when every *required* check passes, else 503, and tells each check, as
//! text or (`?format=json`, or `Accept: application/json`) as JSON. The object store is to be a check
//! that is *not* required: in an outage of the store every broker would become unready at once, and a
//! balancer that then takes them all away ends also what goes on without it (tail reads from the
//! cache, metadata, groups) and turns producers' retries into refused connections. The outage shows in
//! the detail, and in `odradek_wal_oldest_unlanded_seconds` for alerts.

pub mod recorder;
mod routes;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use odradek_common::limits::{
    ADMIN_CONNECTION_MS, ADMIN_CONNECTIONS, ADMIN_REQUEST_HEAD_BYTES, ADMIN_REQUEST_HEAD_MS,
};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::settings::HostPort;

/// One thing that readiness depends on, or that is worth telling with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is checked, in a word.
    pub name: &'static str,
    /// Whether the process is unready if it fails.
    pub required: bool,
    /// Whether it is as it should be.
    pub passed: bool,
    /// How it is, in a sentence.
    pub detail: String,
}

/// Tells whether the process is ready to serve clients. It is asked at each request and must not wait.
pub trait Readiness: Send + Sync {
    /// All checks.
    fn checks(&self) -> Vec<Check>;
}

/// The server, bound and not yet serving.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    router: Router,
}

/// How long accepting rests after it failed, for want of file descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl AdminServer {
    /// Binds the server.
    ///
    /// # Errors
    /// The address cannot be resolved or bound.
    pub async fn bind(
        listen: &HostPort,
        metrics: recorder::Shown,
        readiness: Arc<dyn Readiness>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind((listen.host.as_str(), listen.port)).await?;
        Ok(Self { listener, router: routes::router(metrics, readiness) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`; then what is being answered is answered, for a moment at most.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut connections = JoinSet::new();
        let mut by_age: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    by_age.retain(|connection| !connection.is_finished());
                    // `/livez` decides over restarts: those who hold all places and ask nothing must
                    // not keep out who does. An answer takes no time, so the oldest is the idlest.
                    if by_age.len() >= ADMIN_CONNECTIONS
                        && let Some(oldest) = by_age.pop_front()
                    {
                        debug!(%peer, "too many admin connections; the oldest is closed");
                        oldest.abort();
                    }
                    let (router, shutdown) = (self.router.clone(), shutdown.clone());
                    by_age.push_back(connections.spawn(serve(stream, router, shutdown)));
                }
                Err(error) => {
                    warn!(%error, "the admin server could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        while connections.join_next().await.is_some() {}
    }
}

/// Serves one connection for `ADMIN_CONNECTION_MS` at most, and for a moment after `shutdown`.
async fn serve(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(ADMIN_REQUEST_HEAD_MS))
        .max_buf_size(ADMIN_REQUEST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.cancelled() => None,
        () = tokio::time::sleep(Duration::from_millis(ADMIN_CONNECTION_MS)) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "an admin connection ended with an error");
    }
}

/// How long the last answer of a connection may take.
const LAST_ANSWER: Duration = Duration::from_secs(2);
