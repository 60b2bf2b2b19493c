//! Listening sockets: bound before the broker registers, served once it is ready.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use odradek_common::limits::FILES_RESERVED;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::connection;
use crate::core::Core;
use crate::metric_names;

const BACKLOG: i32 = 4096;
/// Pause after an accept that failed for want of something (file descriptors), which would fail
/// again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener's sockets: one for each address that its host resolves to.
#[derive(Debug)]
pub struct Bound {
    /// The listener's name.
    pub name: Arc<str>,
    /// Its sockets; all have the same port.
    pub sockets: Vec<TcpListener>,
    /// The port, as the system chose it where 0 was asked for.
    pub port: u16,
}

/// Binds `host:port`; an empty host stands for all addresses. `localhost` gets both families,
/// where there are two.
///
/// # Errors
/// If the host does not resolve or an address cannot be bound.
pub async fn bind(name: &str, host: &str, port: u16) -> std::io::Result<Bound> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in tokio::net::lookup_host((host, port)).await? {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    let mut sockets = Vec::new();
    let mut port = port;
    let mut failed = None;
    for address in addresses {
        match socket(SocketAddr::new(address, port)) {
            Ok(socket) => {
                port = socket.local_addr()?.port();
                sockets.push(socket);
            }
            // A machine may resolve an address family that it does not have.
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                failed = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (sockets.is_empty(), failed) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(std::io::ErrorKind::AddrNotAvailable.into()),
        (false, _) => Ok(Bound { name: name.into(), sockets, port }),
    }
}

fn socket(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Connections that may be open at once: as many as the settings allow, and as the limit of open files
/// does when files and the store have theirs. A broker without a file descriptor for its log serves
/// nobody.
#[must_use]
pub fn connections_max(wanted: usize) -> usize {
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

async fn accept(core: Arc<Core>, socket: TcpListener, name: Arc<str>, tasks: TaskTracker) {
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => take(&core, stream, peer, &name, &tasks),
            Err(error) => {
                warn!(listener = %name, %error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn take(
    core: &Arc<Core>,
    stream: TcpStream,
    peer: SocketAddr,
    name: &Arc<str>,
    tasks: &TaskTracker,
) {
    let limits = &core.limits;
    let admitted =
        core.connections.admit(peer.ip(), limits.connections_max, limits.connections_per_ip_max);
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
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "could not set TCP_NODELAY");
    }
    let (core, name) = (core.clone(), name.clone());
    tasks.spawn(async move {
        connection::serve(core, stream, peer, name).await;
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
