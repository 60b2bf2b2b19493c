//! The broker's settings: one table of all keys, the layers that give them values, and the typed
//! struct that the rest of the broker reads.

pub mod alter;
pub mod describe;
pub mod error;
mod groups;
mod inert;
pub mod kind;
mod layers;
mod listeners;
mod quorum;
mod resolve;
pub mod setting;
pub mod table;
pub mod typed;
pub mod values;

#[cfg(test)]
pub(crate) mod tests;

pub use alter::{Alteration, ConfigError, ConfigErrorKind, Level, Operation};
pub use describe::{ConfigSource, Described, Synonym};
pub use error::{Origin, Problem, SettingsError};
pub use groups::{
    Admin, Background, Cache, Fetch, Groups, ListenerTexts, LogDefaults, LogOutput, Metadata,
    Network, Node, Process, Producers, Storage, Topics, Wal,
};
pub use layers::{Sources, Warning};
pub use listeners::{HostPort, Listener};
pub use quorum::{Roles, Voters};
pub use resolve::Settings;
pub use typed::{LogFormat, Secret, WalKind};
pub use values::Values;
