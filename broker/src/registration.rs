//! Registration: a process of a broker gets a new epoch, and the one before it is fenced.
//!
//! On one data directory the lock decides: who holds it knows that the former process has ended, and
//! replaces its epoch. A live epoch of another directory may belong to a process that runs: it is not
//! replaced, and the registration is refused.

use odradek_common::ids::BrokerId;
use odradek_metadata::{
    Command, Incarnation, Listener, Metadata, Outcome, ProposeError, RegisterBroker,
    SecurityProtocol, WalKind,
};

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
    let listeners = settings.listeners.iter().zip(bound).map(|(listener, bound)| Listener {
        name: listener.name.clone(),
        host: listener.advertised.host.clone(),
        // A port of 0 is chosen by the system, and advertised as chosen.
        port: if listener.advertised.port == 0 { bound.port } else { listener.advertised.port },
        security: SecurityProtocol::Plaintext,
    });
    let command = Command::RegisterBroker(RegisterBroker {
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
    });
    match metadata.propose(command).await? {
        Outcome::Registered { epoch } => Ok(Incarnation { broker, epoch }),
        other => Err(RegisterError::Answer(other)),
    }
}
