//! Connections before their hello. There are few of them, which take little, and the oldest goes when
//! there is one too many: strangers take neither room nor connections of those who are known, and who
//! comes with a hello at hand gets through a crowd of them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::limits::{PEER_CONNECT_MS, PEER_STRANGERS};
use odradek_common::net::{Connection, Writer};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::frame::FrameReader;
use super::{Introduction, hello};
use crate::ids::ReplicaKey;

/// Connections of which it is not known yet who is at the other end.
#[derive(Default)]
pub(super) struct Strangers {
    greeting: JoinSet<Option<Known>>,
    /// The one that has waited longest is the first.
    order: VecDeque<AbortHandle>,
}

/// A connection of a node of this cluster.
pub(super) struct Known {
    pub(super) peer: SocketAddr,
    pub(super) them: ReplicaKey,
    pub(super) reader: FrameReader,
    pub(super) writer: Box<Writer>,
}

impl Strangers {
    /// Waits for the hello of a connection.
    pub(super) fn greet(&mut self, connection: Connection, introduction: &Arc<Introduction>) {
        self.order.retain(|greeting| !greeting.is_finished());
        if self.order.len() >= PEER_STRANGERS
            && let Some(oldest) = self.order.pop_front()
        {
            oldest.abort();
        }
        let introduction = Arc::clone(introduction);
        self.order.push_back(self.greeting.spawn(async move {
            let peer = connection.peer;
            let greeted = greet(connection, &introduction).await;
            greeted.unwrap_or_else(|error| {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    tracing::warn!(%peer, %error, "a node was refused");
                } else {
                    tracing::debug!(%peer, %error, "a connection ended before its hello");
                }
                None
            })
        }));
    }

    /// The next that turns out to be a node of this cluster.
    pub(super) async fn known(&mut self) -> Known {
        loop {
            match self.greeting.join_next().await {
                Some(Ok(Some(known))) => return known,
                Some(Ok(None) | Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// None if the node asks who is here, and no more may be said.
async fn greet(connection: Connection, introduction: &Introduction) -> io::Result<Option<Known>> {
    let Connection { reader, mut writer, peer } = connection;
    let mut reader = FrameReader::new(reader, None);
    let limit = Duration::from_millis(PEER_CONNECT_MS);
    let hello = hello::answer(introduction, &mut reader, &mut *writer);
    let introduced = timeout(limit, hello).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let them = introduced.them;
    Ok(introduced.is_of_cluster.then_some(Known { peer, them, reader, writer }))
}
