//! Listening sockets: bound before the broker registers, served once it is ready.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::limits::FILES_RESERVED;
use odradek_common::net::{Connection, Listener, Network};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::connection;
use crate::core::Core;
use crate::metric_names;

/// Pause after an accept that failed for want of something (file descriptors), which would fail
/// again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener's sockets: one for each address that its host resolves to.
#[derive(Debug)]
pub struct Bound {
    /// The listener's name.
    pub name: Arc<str>,
    /// Its sockets; all have the same port.
    pub sockets: Vec<Box<dyn Listener>>,
    /// The port, as the system chose it where 0 was asked for.
    pub port: u16,
}

/// Binds `host:port`; an empty host stands for all addresses. `localhost` gets both families,
/// where there are two.
///
/// # Errors
/// If the host does not resolve or an address cannot be bound.
pub async fn bind(
    network: &dyn Network,
    name: &str,
    host: &str,
    port: u16,
) -> std::io::Result<Bound> {
    let sockets = network.listen(host, port).await?;
    let first = sockets.first().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let port = first.local_address()?.port();
    Ok(Bound { name: name.into(), sockets, port })
}

/// Connections that may be open at once: as many as the settings allow, and as the limit of open files
/// does when files and the store have theirs. A broker without a file descriptor for its log serves
/// nobody.
fn connections_max(wanted: usize) -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    within_files(wanted, files)
}

fn within_files(wanted: usize, files: Option<u64>) -> usize {
    let Some(files) = files.and_then(|files| usize::try_from(files).ok()) else { return wanted };
    wanted.min(files - FILES_RESERVED.min(files / 4))
}

/// Counts connections, in all and by address.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

impl Connections {
    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.lock().0
    }

    /// An error is the name of the setting that limits them.
    fn admit(
        self: &Arc<Self>,
        ip: IpAddr,
        most: usize,
        most_of_ip: usize,
    ) -> Result<Admitted, &'static str> {
        let mut open = self.open.lock();
        let of_ip = open.1.get(&ip).copied().unwrap_or(0);
        if open.0 >= most {
            return Err("max.connections");
        }
        if of_ip >= most_of_ip {
            return Err("max.connections.per.ip");
        }
        open.0 += 1;
        open.1.insert(ip, of_ip + 1);
        Ok(Admitted { connections: self.clone(), ip })
    }
}

struct Admitted {
    connections: Arc<Connections>,
    ip: IpAddr,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.0 -= 1;
        if let Some(of_ip) = open.1.get_mut(&self.ip) {
            *of_ip -= 1;
            if *of_ip == 0 {
                open.1.remove(&self.ip);
            }
        }
    }
}

impl Bound {
    /// Accepts connections until the process stops; each is a task of `tasks`.
    pub fn serve(self, core: &Arc<Core>, tasks: &TaskTracker) {
        for socket in self.sockets {
            let (core, name, tasks) = (core.clone(), self.name.clone(), tasks.clone());
            tasks.clone().spawn(async move {
                let stop = core.draining.clone();
                let _ = stop.run_until_cancelled(accept(core, socket, name, tasks)).await;
            });
        }
    }
}

async fn accept(core: Arc<Core>, socket: Box<dyn Listener>, name: Arc<str>, tasks: TaskTracker) {
    loop {
        match socket.accept().await {
            Ok(connection) => take(&core, connection, &name, &tasks),
            Err(error) => {
                warn!(listener = %name, %error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn take(core: &Arc<Core>, connection: Connection, name: &Arc<str>, tasks: &TaskTracker) {
    let peer = connection.peer;
    let settings = core.settings();
    let most = connections_max(settings.network.max_connections);
    let most_of_ip = settings.network.max_connections_per_ip;
    let admitted = core.connections.admit(peer.ip(), most, most_of_ip);
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(limit) => {
            debug!(%peer, limit, "too many connections; closed");
            metrics::counter!(metric_names::CONNECTIONS_REFUSED, "reason" => limit).increment(1);
            return;
        }
    };
    metrics::counter!(metric_names::CONNECTIONS_ACCEPTED, "listener" => name.to_string())
        .increment(1);
    let (core, name) = (core.clone(), name.clone());
    tasks.spawn(async move {
        connection::serve(core, connection, name).await;
        drop(admitted);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_files() {
        assert_eq!(within_files(60_000, None), 60_000);
        assert_eq!(within_files(60_000, Some(1 << 20)), 60_000);
        assert_eq!(within_files(60_000, Some(20_000)), 20_000 - FILES_RESERVED);
        assert_eq!(within_files(60_000, Some(1_000)), 750);
        assert_eq!(within_files(100, Some(1_000)), 100);
    }

    #[test]
    fn connections_are_counted_by_address_and_in_all() {
        let open = Arc::new(Connections::default());
        let [one, two] = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
        let first = open.admit(one, 3, 2);
        let second = open.admit(one, 3, 2);
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(open.admit(one, 3, 2).err(), Some("max.connections.per.ip"));
        let third = open.admit(two, 3, 2);
        assert!(third.is_ok());
        assert_eq!(open.admit(two, 3, 2).err(), Some("max.connections"));
        drop(first);
        assert!(open.admit(two, 3, 2).is_ok());
        drop((second, third));
        assert_eq!(open.open(), 0);
    }
}
