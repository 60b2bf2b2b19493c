//! What tests share: the checker of histories, a connection that speaks Kafka's protocol, and what needs
//! real processes: a broker under test, the stores it may have, and the real clients. Each process writes to
//! a log file that is shown when something fails, has a limit on every wait, and does not outlive its
//! handle.

pub mod azurite;
pub mod broker;
pub mod clients;
pub mod gcs;
pub mod history;
#[cfg(feature = "clients")]
pub mod load;
pub mod memory;
pub mod minio;
pub mod net;
pub mod place;
pub mod process;
pub mod program;
pub mod tools;
pub mod wait;
pub mod wire;
