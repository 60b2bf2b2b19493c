//! From values to the struct that the broker reads, with the checks that concern several of them.

use std::collections::BTreeMap;
use std::path::Path;

use url::Url;

use super::error::{Problem, SettingsError};
use super::groups::{
    Admin, Background, Cache, Fetch, Groups, ListenerTexts, LogDefaults, LogOutput, Metadata,
    Network, Node, Process, Producers, Storage, Topics, Wal,
};
use super::layers::{Gathered, Sources, Warning};
use super::listeners::{self, HostPort, Listener, host_port};
use super::quorum::{self, Roles, Voters};
use super::table;
use super::typed::WalKind;
use super::values::Values;

/// All settings of a broker, checked. Cheap enough to clone, not meant to be cloned a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The process within its cluster.
    pub node: Node,
    /// What the process does.
    pub roles: Roles,
    /// The voters of the metadata quorum.
    pub voters: Voters,
    /// Where this process listens for the others about metadata, if it votes and there are others.
    pub controller_listener: Option<HostPort>,
    /// What clients are told that the voters' listeners are called.
    pub controller_listener_name: String,
    /// The listeners for clients and brokers, at least one.
    pub listeners: Vec<Listener>,
    /// Name of the listener that brokers use among themselves; one of `listeners`.
    pub inter_broker_listener: String,
    /// Connections and what they may hold.
    pub network: Network,
    /// Fetch requests.
    pub fetch: Fetch,
    /// Topics as they are made.
    pub topics: Topics,
    /// Defaults of what topics may override; `topic_settings::TopicConfig` is what they come to.
    pub log_defaults: LogDefaults,
    /// Consumer groups.
    pub groups: Groups,
    /// Idempotent producers.
    pub producers: Producers,
    /// The metadata quorum.
    pub metadata: Metadata,
    /// The object store.
    pub storage: Storage,
    /// Where the objects are: `storage.url`, or the directory in `data.dir`.
    pub storage_url: Url,
    /// The write-ahead log.
    pub wal: Wal,
    /// Its kind, `auto` resolved.
    pub wal_kind: WalKind,
    /// Memory of the caches.
    pub cache: Cache,
    /// Work in the background.
    pub background: Background,
    /// The admin HTTP server.
    pub admin: Admin,
    /// Its address, unless it is not served.
    pub admin_listen: Option<HostPort>,
    /// The log on standard error.
    pub log_output: LogOutput,
    /// The process.
    pub process: Process,
    /// All values as they were given, for descriptions.
    pub values: Values,
}

impl Settings {
    /// Reads file, environment and flags. The warnings are for the log, once there is one.
    pub fn load(sources: &Sources) -> Result<(Self, Vec<Warning>), SettingsError> {
        let gathered = Gathered::from_sources(sources);
        if !gathered.problems.is_empty() {
            return Err(SettingsError { problems: gathered.problems });
        }
        Ok((Self::from_values(gathered.values)?, gathered.warnings))
    }

    /// The settings with what AlterConfigs stored, for all brokers and for this one. What the table
    /// does not allow is left out, and if the whole does not hold together, so is all of it.
    #[must_use]
    pub fn with_dynamic(
        &self,
        cluster: &BTreeMap<String, String>,
        broker: &BTreeMap<String, String>,
    ) -> Self {
        match Self::from_values(self.values.with_dynamic(cluster, broker)) {
            Ok(settings) => settings,
            Err(error) => {
                tracing::warn!(%error, "altered settings contradict one another and are not used");
                self.clone()
            }
        }
    }

    /// Builds and checks the whole.
    pub(super) fn from_values(mut values: Values) -> Result<Self, SettingsError> {
        take_broker_id(&mut values);
        let node = Node::read(&values)?;
        if node.broker_id >= 0 && node.broker_id != node.id {
            let message = "node.id and broker.id differ; give only node.id";
            return Err(Problem::Conflict(message.to_owned()).into());
        }
        let listener_texts = ListenerTexts::read(&values)?;
        let resolved = listeners::resolve(&listener_texts, &values)?;
        let metadata = Metadata::read(&values)?;
        let listens = resolved.controller.is_some();
        let (roles, voters) = quorum::resolve(&node, &metadata, listens, &values)?;
        let is_served = roles.controller && !voters.is_empty();
        let storage = Storage::read(&values)?;
        let storage_url = storage_url(&storage, &node.data_dir, &values)?;
        let wal = Wal::read(&values)?;
        let wal_kind = quorum::wal_kind(wal.kind, &storage_url, &voters)?;
        let admin = Admin::read(&values)?;
        let admin_listen = admin_listen(&admin, &values)?;
        let settings = Self {
            node,
            roles,
            voters,
            controller_listener: resolved.controller.filter(|_| is_served),
            controller_listener_name: resolved.controller_name,
            listeners: resolved.listeners,
            inter_broker_listener: resolved.inter_broker,
            network: Network::read(&values)?,
            fetch: Fetch::read(&values)?,
            topics: Topics::read(&values)?,
            log_defaults: LogDefaults::read(&values)?,
            groups: Groups::read(&values)?,
            producers: Producers::read(&values)?,
            metadata,
            storage,
            storage_url,
            wal,
            wal_kind,
            cache: Cache::read(&values)?,
            background: Background::read(&values)?,
            admin,
            admin_listen,
            log_output: LogOutput::read(&values)?,
            process: Process::read(&values)?,
            values,
        };
        settings.check_bounds()?;
        Ok(settings)
    }

    /// Whether other processes are, or may be, of the same cluster.
    #[must_use]
    pub fn is_one_of_several(&self) -> bool {
        !self.voters.is_empty()
    }

    fn check_bounds(&self) -> Result<(), Problem> {
        let conflict = |message: &str| Err(Problem::Conflict(message.to_owned()));
        if self.groups.min_session_timeout > self.groups.max_session_timeout {
            return conflict("group.min.session.timeout.ms is above group.max.session.timeout.ms");
        }
        if self.wal.linger_floor > self.wal.linger_max {
            return conflict("wal.linger.floor.ms is above wal.linger.max.ms");
        }
        if self.network.queued_max_request_bytes < self.network.request_max_bytes {
            return conflict(
                "queued.max.request.bytes is below socket.request.max.bytes: the largest request \
                 could never be read",
            );
        }
        if self.wal.unlanded_bytes < self.wal.slot_bytes {
            return conflict("wal.unlanded.bytes is below wal.slot.bytes");
        }
        if self.storage.access_key_id.is_some() != self.storage.secret_access_key.is_some() {
            return conflict(
                "storage.access.key.id and storage.secret.access.key: one is given without the \
                 other",
            );
        }
        if self.storage.session_token.is_some() && self.storage.access_key_id.is_none() {
            return conflict("storage.session.token is given without storage.access.key.id");
        }
        let is_plain = self.storage.endpoint.as_ref().is_some_and(|e| e.starts_with("http://"));
        if is_plain && self.storage.allow_http == Some(false) {
            return conflict(
                "storage.endpoint is without TLS, which storage.allow.http=false forbids",
            );
        }
        for key in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
            if self.values.effective(key) == Some("0") {
                let reason = "it must be above 0, or -1 for records that never grow too old";
                let place = self.values.place(key);
                return Err(Problem::BadValue { place, reason: reason.to_owned() });
            }
        }
        Ok(())
    }
}

/// Takes the older `broker.id` for `node.id` where only that is given.
fn take_broker_id(values: &mut Values) {
    let given = values.of_statics("broker.id").filter(|given| given.text != "-1").cloned();
    if let (Some(given), None, Some(setting)) =
        (given, values.of_statics("node.id"), table::find("node.id"))
    {
        values.give(setting, given);
    }
}

/// Schemes of `storage.url`.
const SCHEMES: &[&str] = &["file", "s3", "gs", "az", "memory"];

fn storage_url(storage: &Storage, data_dir: &Path, values: &Values) -> Result<Url, Problem> {
    let bad = |key: &str, reason: String| Problem::BadValue { place: values.place(key), reason };
    let Some(text) = &storage.url else {
        let absolute = std::path::absolute(data_dir.join("objects"))
            .map_err(|error| bad("data.dir", error.to_string()))?;
        return Url::from_directory_path(&absolute)
            .map_err(|()| bad("data.dir", format!("{} is not a path", absolute.display())));
    };
    let url = Url::parse(text).map_err(|error| {
        bad("storage.url", format!("'{text}' is not a URL ({error}); one is s3://bucket/prefix"))
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        let reason = "credentials do not belong into the URL: give storage.access.key.id and \
                      storage.secret.access.key";
        return Err(bad("storage.url", reason.to_owned()));
    }
    if !SCHEMES.contains(&url.scheme()) {
        let reason = format!("{}:// is not a store; {} are", url.scheme(), SCHEMES.join(", "));
        return Err(bad("storage.url", reason));
    }
    let names_bucket = url.host_str().is_some_and(|host| !host.is_empty());
    match url.scheme() {
        "file" if url.to_file_path().is_err() => Err(bad(
            "storage.url",
            format!("'{text}' is not of the form file:///directory with the whole path"),
        )),
        "s3" | "gs" | "az" if !names_bucket => {
            Err(bad("storage.url", format!("'{text}' names no bucket")))
        }
        _ => Ok(url),
    }
}

fn admin_listen(admin: &Admin, values: &Values) -> Result<Option<HostPort>, Problem> {
    if admin.listen.is_empty() {
        return Ok(None);
    }
    let address = host_port(&admin.listen).filter(|address| !address.host.is_empty());
    address.map(Some).ok_or_else(|| Problem::BadValue {
        place: values.place("admin.listen"),
        reason: format!("'{}' is not of the form host:port", admin.listen),
    })
}
