//! Registration: a process of a broker gets a new epoch, and the one before it is fenced.
//!
//! On one data directory the lock decides: who holds it knows that the former process has ended, and
//! replaces its epoch. A live epoch of another directory may belong to a process that runs: it is not
//! replaced, and the registration is refused, where there are others once its session had time to end.

use std::time::Duration;

use odradek_common::ids::BrokerId;
use odradek_metadata::{
    Command, Incarnation, Listener, Metadata, Outcome, ProposeError, Refusal, RegisterBroker,
    SecurityProtocol, WalKind,
};
use tokio::time::Instant;
use tracing::info;

use crate::directory::DataDirectory;
use crate::server::Bound;
use crate::settings::{self, Settings};

/// Chains of one broker.
const CHAINS: u32 = 1;

/// Why a broker is not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The metadata refused, or did not answer.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// An answer that is none.
    #[error("an answer to the registration that is none: {0:?}")]
    Answer(Outcome),
}

/// Registers this process.
///
/// # Errors
/// See [`RegisterError`].
pub async fn register(
    settings: &Settings,
    directory: &DataDirectory,
    metadata: &Metadata,
    bound: &[Bound],
) -> Result<Incarnation, RegisterError> {
    let broker = BrokerId(settings.node.id);
    let image = metadata.image();
    let former = image.broker(broker).filter(|former| former.directory == directory.id);
    let mut listeners: Vec<_> = settings.listeners.iter().zip(bound).collect();
    // What other brokers reach comes first: there it is seen whether this one still listens.
    listeners.sort_by_key(|(listener, _)| listener.name != settings.inter_broker_listener);
    let listeners = listeners.into_iter().map(|(listener, bound)| Listener {
        name: listener.name.clone(),
        host: listener.advertised.host.clone(),
        // A port of 0 is chosen by the system, and advertised as chosen.
        port: if listener.advertised.port == 0 { bound.port } else { listener.advertised.port },
        security: SecurityProtocol::Plaintext,
    });
    let mut command = RegisterBroker {
        broker,
        directory: directory.id,
        rack: settings.node.rack.clone(),
        listeners: listeners.collect(),
        wal: match settings.wal_kind {
            settings::WalKind::Object => WalKind::Object,
            settings::WalKind::Disk => WalKind::Disk,
        },
        chains: CHAINS,
        window: settings.wal.window,
        replaces: former.map(|former| former.incarnation.epoch),
    };
    let session = settings.metadata.session_timeout;
    let until =
        Instant::now() + if settings.is_one_of_several() { session * 2 } else { Duration::ZERO };
    loop {
        match metadata.propose(Command::RegisterBroker(command.clone())).await {
            Ok(Outcome::Registered { epoch }) => return Ok(Incarnation { broker, epoch }),
            Ok(other) => return Err(RegisterError::Answer(other)),
            // It may be that of a process that is gone with its directory: its session tells.
            Err(ProposeError::Refused(refusal @ Refusal::BrokerIsLive { .. }))
                if Instant::now() < until =>
            {
                info!(%refusal, "waiting for its session to end");
                tokio::time::sleep(session / 4).await;
            }
            // It may have come about: then that epoch has no slot, and is replaced.
            Err(ProposeError::Unknown) if settings.is_one_of_several() => {
                let image = metadata.image();
                let former = image.broker(broker).filter(|former| former.directory == directory.id);
                command.replaces = former.map(|former| former.incarnation.epoch);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
