//! Listeners: where the broker listens and what it advertises.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::error::Problem;
use super::groups::ListenerTexts;
use super::values::Values;

/// A host and a port, as a listener names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A host name or an address, without the brackets of an IPv6 address.
    pub host: String,
    /// The port; 0 asks for a free one.
    pub port: u16,
}

impl HostPort {
    /// Whether the host stands for all interfaces, and so is no address to connect to.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.host.is_empty() || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A listener for clients and brokers. What it speaks is PLAINTEXT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in upper case.
    pub name: String,
    /// Where it listens. An empty host is all interfaces.
    pub bind: HostPort,
    /// Where clients are told to connect; never all interfaces. A port of 0 stands for the one that
    /// was bound.
    pub advertised: HostPort,
}

/// What the settings of listeners mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) listeners: Vec<Listener>,
    pub(super) inter_broker: String,
    /// Where controllers are listened for, as the first of their listeners says.
    pub(super) controller: Option<HostPort>,
    /// What that listener is called.
    pub(super) controller_name: String,
}

/// Resolves and checks the listeners; those of the controller stand by themselves.
pub(super) fn resolve(texts: &ListenerTexts, values: &Values) -> Result<Resolved, Problem> {
    let bad = |key: &str, reason: String| Problem::BadValue { place: values.place(key), reason };
    let binds = endpoints(&texts.listeners).map_err(|reason| bad("listeners", reason))?;
    let advertised = endpoints(texts.advertised.as_deref().unwrap_or_default())
        .map_err(|reason| bad("advertised.listeners", reason))?;
    let controllers: BTreeSet<String> =
        texts.controllers.iter().flatten().map(|name| name.to_ascii_uppercase()).collect();
    let protocols = protocol_map(&texts.protocols)
        .map_err(|reason| bad("listener.security.protocol.map", reason))?;

    if let Some((name, _)) = advertised.iter().find(|(name, _)| !has(&binds, name)) {
        return Err(bad("advertised.listeners", format!("{name} is not one of listeners")));
    }
    let (mut listeners, mut controller) = (Vec::new(), None);
    for (name, bind) in binds {
        if controllers.contains(&name) {
            controller.get_or_insert(bind);
            continue;
        }
        check_protocol(&name, &protocols).map_err(|reason| bad("listeners", reason))?;
        let told = advertised.iter().find(|(other, _)| *other == name).map(|(_, told)| told);
        let told = told.unwrap_or(&bind).clone();
        check_advertised(&name, &told, bind.port)
            .map_err(|reason| bad("advertised.listeners", reason))?;
        listeners.push(Listener { name, bind, advertised: told });
    }
    if listeners.is_empty() {
        return Err(bad("listeners", "there is no listener for clients and brokers".to_owned()));
    }
    let inter_broker = inter_broker(texts.inter_broker.as_deref(), &listeners)
        .map_err(|reason| bad("inter.broker.listener.name", reason))?;
    let named = texts.controllers.iter().flatten().next();
    let controller_name = named.map_or("CONTROLLER".to_owned(), |name| name.to_ascii_uppercase());
    Ok(Resolved { listeners, inter_broker, controller, controller_name })
}

fn has(endpoints: &[(String, HostPort)], name: &str) -> bool {
    endpoints.iter().any(|(other, _)| other == name)
}

/// Reads a list of `NAME://host:port`; names are unique, and so are addresses with a port.
fn endpoints(texts: &[String]) -> Result<Vec<(String, HostPort)>, String> {
    let mut endpoints: Vec<(String, HostPort)> = Vec::new();
    for text in texts {
        let (name, address) = endpoint(text)?;
        if has(&endpoints, &name) {
            return Err(format!("there are two listeners of the name {name}"));
        }
        if address.port != 0 && endpoints.iter().any(|(_, other)| *other == address) {
            return Err(format!("two listeners have the address {address}"));
        }
        endpoints.push((name, address));
    }
    Ok(endpoints)
}

fn endpoint(text: &str) -> Result<(String, HostPort), String> {
    let expected = || format!("'{text}' is not of the form NAME://host:port");
    let (name, address) = text.split_once("://").ok_or_else(expected)?;
    if !is_listener_name(name) {
        return Err(expected());
    }
    let address = host_port(address).ok_or_else(expected)?;
    Ok((name.to_ascii_uppercase(), address))
}

fn is_listener_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !name.is_empty() && name.bytes().all(fits)
}

/// Reads `host:port`; an IPv6 address stands in brackets. `None` if it is not of that form.
pub(crate) fn host_port(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let inner = rest.strip_suffix(']')?;
            inner.parse::<std::net::Ipv6Addr>().ok()?;
            inner
        }
        None if host.bytes().all(is_host_byte) => host,
        None => return None,
    };
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(HostPort { host: host.to_owned(), port: port.parse().ok()? })
}

fn is_host_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')
}

fn protocol_map(texts: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut protocols = BTreeMap::new();
    for text in texts {
        let pair = text.split_once(':').map(|(name, protocol)| (name.trim(), protocol.trim()));
        let Some((name, protocol)) = pair.filter(|(name, _)| is_listener_name(name)) else {
            return Err(format!("'{text}' is not of the form NAME:PROTOCOL"));
        };
        let protocol = protocol.to_ascii_uppercase();
        if !PROTOCOLS.contains(&protocol.as_str()) {
            return Err(format!(
                "'{protocol}' is not a protocol; they are {}",
                PROTOCOLS.join(", ")
            ));
        }
        let name = name.to_ascii_uppercase();
        if protocols.insert(name.clone(), protocol).is_some() {
            return Err(format!("there are two protocols for {name}"));
        }
    }
    Ok(protocols)
}

const PROTOCOLS: &[&str] = &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

fn check_protocol(name: &str, protocols: &BTreeMap<String, String>) -> Result<(), String> {
    match protocols.get(name).map(String::as_str) {
        Some("PLAINTEXT") => Ok(()),
        Some(protocol) => {
            Err(format!("listener {name} is to speak {protocol}, which is not supported yet"))
        }
        None => Err(format!(
            "listener {name} has no protocol; add {name}:PLAINTEXT to listener.security.protocol.map"
        )),
    }
}

fn check_advertised(name: &str, told: &HostPort, bound_port: u16) -> Result<(), String> {
    if told.is_wildcard() {
        return Err(format!(
            "listener {name} listens on all interfaces, which is no address to connect to: give \
             the one that clients reach, such as {name}://broker1.example:{bound_port}"
        ));
    }
    if told.port == 0 && bound_port != 0 {
        return Err(format!("listener {name} is advertised with port 0"));
    }
    Ok(())
}

fn inter_broker(given: Option<&str>, listeners: &[Listener]) -> Result<String, String> {
    let named = |name: &str| listeners.iter().any(|listener| listener.name == name);
    match given.map(str::to_ascii_uppercase) {
        Some(name) if named(&name) => Ok(name),
        Some(name) => Err(format!("{name} is not one of listeners")),
        None if named("PLAINTEXT") => Ok("PLAINTEXT".to_owned()),
        None => Ok(listeners.first().map(|first| first.name.clone()).unwrap_or_default()),
    }
}
