//! What the process is within its cluster: its roles, and the voters of the metadata quorum.

use std::collections::BTreeMap;

use odradek_common::limits::PEER_SECRET_BYTES;
use url::Url;

use super::error::Problem;
use super::groups::{Metadata, Node};
use super::listeners::{HostPort, host_port};
use super::typed::{WalChoice, WalKind};
use super::values::Values;

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Serves clients.
    pub broker: bool,
    /// Votes in the metadata quorum.
    pub controller: bool,
}

/// The voters as `controller.quorum.voters` names them, by node id. None: this process is the whole
/// cluster.
pub type Voters = BTreeMap<i32, HostPort>;

/// Bytes of `controller.quorum.secret`, at least.
const SECRET_MIN: usize = 16;

/// Reads the roles and the voters, and checks that they fit one another. `listens`: there is a
/// listener for the quorum.
pub(super) fn resolve(
    node: &Node,
    metadata: &Metadata,
    listens: bool,
    values: &Values,
) -> Result<(Roles, Voters), Problem> {
    let bad = |key: &str, reason: String| Problem::BadValue { place: values.place(key), reason };
    let voters =
        voters(&metadata.voters).map_err(|reason| bad("controller.quorum.voters", reason))?;
    let has = |role: &str| node.roles.iter().any(|one| one == role);
    let roles = Roles { broker: has("broker"), controller: has("controller") };
    if !roles.broker {
        let reason = "a process that is no broker is not supported yet: broker,controller, or broker \
                      where others are the controllers";
        return Err(bad("process.roles", reason.to_owned()));
    }
    if !roles.controller && voters.is_empty() {
        let reason = "a process that is no controller needs controller.quorum.voters";
        return Err(bad("process.roles", reason.to_owned()));
    }
    if !roles.controller && voters.contains_key(&node.id) {
        let reason = format!(
            "controller.quorum.voters names this node, {}, and process.roles has no controller",
            node.id
        );
        return Err(Problem::Conflict(reason));
    }
    if roles.controller && !voters.is_empty() && !listens {
        let reason = "the other voters reach this one at a listener for controllers, and there is none: \
                      add one, such as CONTROLLER://10.0.0.1:9093, to listeners, and \
                      controller.listener.names=CONTROLLER";
        return Err(bad("listeners", reason.to_owned()));
    }
    let secret = metadata.quorum_secret.as_ref().map(|secret| secret.expose().len());
    if secret.is_some_and(|length| !(SECRET_MIN..=PEER_SECRET_BYTES).contains(&length)) {
        let reason = format!("it has to have {SECRET_MIN} to {PEER_SECRET_BYTES} bytes");
        return Err(bad("controller.quorum.secret", reason));
    }
    if metadata.session_timeout < metadata.heartbeat_interval * 2 {
        let reason = "broker.session.timeout.ms is below twice broker.heartbeat.interval.ms";
        return Err(Problem::Conflict(reason.to_owned()));
    }
    Ok((roles, voters))
}

/// Reads `ID@HOST:PORT`s.
fn voters(texts: &[String]) -> Result<Voters, String> {
    let mut voters = Voters::new();
    for text in texts {
        let expected = || format!("'{text}' is not of the form ID@HOST:PORT");
        let (id, address) = text.split_once('@').ok_or_else(expected)?;
        let id: i32 = id.trim().parse().map_err(|_| expected())?;
        let address = host_port(address.trim()).ok_or_else(expected)?;
        if id < 0 {
            return Err(format!("'{text}': node ids begin at 0"));
        }
        if address.is_wildcard() || address.port == 0 {
            return Err(format!("'{text}' is no address to connect to"));
        }
        if let Some(other) = voters.values().find(|other| **other == address) {
            return Err(format!("two voters have the address {other}"));
        }
        if voters.insert(id, address).is_some() {
            return Err(format!("there are two voters of the id {id}"));
        }
    }
    Ok(voters)
}

/// Where the records of a broker are before they are flushed: in the store, where other brokers can
/// read them, unless it is alone on its own store.
pub(super) fn wal_kind(
    choice: WalChoice,
    store: &Url,
    voters: &Voters,
) -> Result<WalKind, Problem> {
    let is_alone = voters.is_empty();
    if !is_alone && matches!(store.scheme(), "file" | "memory") {
        return Err(Problem::Conflict(format!(
            "{store} is a store of one process, and controller.quorum.voters makes this one of several: \
             give a storage.url that all of them reach, such as s3://bucket"
        )));
    }
    match choice {
        WalChoice::Fixed(WalKind::Disk) if !is_alone => Err(Problem::Conflict(
            "wal.kind=disk is for one broker alone, and controller.quorum.voters makes this one of \
             several: nobody could take over what lies on its disk. Give wal.kind=object"
                .to_owned(),
        )),
        WalChoice::Fixed(kind) => Ok(kind),
        WalChoice::Auto if store.scheme() == "file" => Ok(WalKind::Disk),
        WalChoice::Auto => Ok(WalKind::Object),
    }
}
