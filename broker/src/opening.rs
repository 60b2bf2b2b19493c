//! Opening the store and finding out whose it is: proved first, then formed or joined. A bucket of
//! another cluster, or of this one after its data directory was lost, is refused (law 2.7).

use std::time::Duration;

use object_store::path::Path;
use odradek_common::ids::{BrokerId, ClusterId};
use odradek_common::random::SharedRandom;
use odradek_metadata::{
    Command, DirectoryId, Ended, Endpoint, Form, Metadata, ProposeError, ReplicaKey, StartError,
    Voter,
};
use odradek_storage::ahead;
use odradek_storage::check_store::{self, Form as CheckForm};
use odradek_storage::formation::{self, Formation, FormationError, Founder, Marker};
use odradek_storage::names::Names;
use odradek_storage::store::{self, RetryOptions, Store, StoreSettings};
use tracing::info;

use crate::directory::DataDirectory;
use crate::process::World;
use crate::settings::{Secret, Settings};

/// A store that is proved, and the cluster in it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// The cluster.
    pub cluster: ClusterId,
}

/// Why the store, or the cluster in it, is not for this process.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL or its settings.
    #[error("storage.url: {0}")]
    Url(#[from] store::OpenError),
    /// The store does not do what it has to.
    #[error("{store} cannot be used: {}\n\n{report}", .report.reason())]
    Unfit {
        /// Which.
        store: String,
        /// What was found.
        report: Box<check_store::Report>,
    },
    /// The formation marker cannot be read or written.
    #[error("{store}: {source}")]
    Formation {
        /// Which store.
        store: String,
        /// Why.
        source: FormationError,
    },
    /// The data directory was formed with another cluster than its Raft log tells of, or the log
    /// tells of none.
    #[error(
        "the data directory is that of cluster {noted}, but the Raft log in it is not: is raft/ \
         another's, or was it replaced? Bring back the one that belongs there and start again; \
         nothing was changed"
    )]
    OtherLog {
        /// The cluster that the data directory notes.
        noted: ClusterId,
    },
    /// The data directory knows a cluster, the store does not.
    #[error(
        "{store} holds no cluster, but the data directory is that of cluster {cluster}. Is \
         storage.url right? A store that lost its objects cannot be used with this data directory"
    )]
    MarkerGone {
        /// Which store.
        store: String,
        /// The cluster of the data directory.
        cluster: ClusterId,
    },
    /// The store was written to by a later state of the data directory.
    #[error(
        "{store} holds {object}, which was written after the state that this data directory holds: it \
         is an older copy, or another process goes on with the cluster. What was acknowledged since is \
         in the store and unknown here. Bring back the newest copy; nothing was changed"
    )]
    Ahead {
        /// Which store.
        store: String,
        /// The object.
        object: Path,
    },
    /// The store cannot be listed.
    #[error("{store}: {}", store::describe(.source))]
    List {
        /// Which store.
        store: String,
        /// Why.
        source: object_store::Error,
    },
    /// The store belongs to another cluster.
    #[error("{store} belongs to cluster {theirs}, the data directory to cluster {ours}")]
    OtherCluster {
        /// Which store.
        store: String,
        /// Whose it is.
        theirs: ClusterId,
        /// The cluster of the data directory.
        ours: ClusterId,
    },
    /// The store belongs to a cluster whose metadata is not in this data directory.
    #[error(
        "{store} belongs to cluster {cluster}, formed by other data directories. Was data.dir \
         lost or moved? Nothing was changed. Start with the directory it was formed with, or with \
         an empty bucket or prefix"
    )]
    NotOurs {
        /// Which store.
        store: String,
        /// Whose it is.
        cluster: ClusterId,
    },
    /// The quorum did not begin.
    #[error("metadata: {0}")]
    Quorum(#[from] StartError),
    /// The metadata ended meanwhile.
    #[error("metadata: {0}")]
    Ended(#[from] Ended),
    /// The metadata did not take the formation.
    #[error("the cluster could not be formed: {0}")]
    Propose(#[from] ProposeError),
}

/// The pause between two looks whether there is a cluster.
const FORMED_PAUSE: Duration = Duration::from_millis(500);

/// Opens and proves the store; forms the cluster if there is none, and begins its quorum if this node
/// is in none yet. The directory is to note that next.
///
/// # Errors
/// See [`OpenError`]; a store that is not for this process is left as it was.
pub async fn open(
    settings: &Settings,
    world: &World,
    directory: &DataDirectory,
    metadata: &Metadata,
) -> Result<Opened, OpenError> {
    check_log(directory, metadata)?;
    let store = connect(settings, world).await?;
    let report = check_store::check(&store, CheckForm::Short, &world.random).await;
    if !report.passed() {
        let report = Box::new(report);
        return Err(OpenError::Unfit { store: store.to_string(), report });
    }
    let cluster = form(settings, &store, &world.random, directory, metadata).await?;
    let is_alone = settings.voters.len() < 2 && metadata.voter_count() < 2;
    if is_alone && settings.roles.controller {
        check_age(&store, &cluster, metadata, BrokerId(settings.node.id)).await?;
    }
    Ok(Opened { store, cluster })
}

/// This broker is the whole quorum: nothing in the store can be younger than its metadata, unless that
/// is not the newest.
async fn check_age(
    store: &Store,
    cluster: &ClusterId,
    metadata: &Metadata,
    broker: BrokerId,
) -> Result<(), OpenError> {
    let names = Names::new(store.prefix().clone(), cluster.clone());
    let applied = metadata.image().applied_index();
    let found = ahead::begun_after(&*store.retrying(), &names, broker, applied).await;
    let name = || store.to_string();
    match found.map_err(|source| OpenError::List { store: name(), source })? {
        Some(object) => Err(OpenError::Ahead { store: name(), object }),
        None => Ok(()),
    }
}

/// The marker in the store names our directory whatever became of our metadata: it cannot tell a
/// first start that was interrupted from a Raft log that was lost. The directory's note can.
fn check_log(directory: &DataDirectory, metadata: &Metadata) -> Result<(), OpenError> {
    let image = metadata.image();
    let formed = image.cluster().map(|cluster| &cluster.id);
    match &directory.cluster {
        Some(noted) if formed != Some(noted) => Err(OpenError::OtherLog { noted: noted.clone() }),
        _ => Ok(()),
    }
}

/// The store that the world brings or the settings name, unproved.
///
/// # Errors
/// The URL or its settings.
pub async fn connect(settings: &Settings, world: &World) -> Result<Store, store::OpenError> {
    let url = settings.storage_url.as_str();
    if let Some(store) = &world.store {
        let (random, retries) = (world.random.clone(), RetryOptions::default());
        return Ok(Store::over(store.clone(), Path::default(), url.to_owned(), retries, random));
    }
    let options = store_settings(settings);
    store::open(url, &options, world.files.clone(), world.random.clone()).await
}

fn store_settings(settings: &Settings) -> StoreSettings {
    let given = &settings.storage;
    let exposed = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    StoreSettings {
        endpoint: given.endpoint.clone(),
        region: given.region.clone(),
        access_key: given.access_key_id.clone(),
        secret_key: exposed(&given.secret_access_key),
        session_token: exposed(&given.session_token),
        service_account: given.service_account.clone(),
        allow_http: given.allow_http,
        virtual_hosted_style: given.virtual_hosted_style.then_some(true),
    }
}

async fn form(
    settings: &Settings,
    store: &Store,
    random: &SharedRandom,
    directory: &DataDirectory,
    metadata: &Metadata,
) -> Result<ClusterId, OpenError> {
    let failed = |source| OpenError::Formation { store: store.to_string(), source };
    let name = || store.to_string();
    let ours = metadata.image().cluster().map(|c| c.id.clone());
    let marker = match ours {
        Some(ours) => {
            let marker = formation::read(store).await.map_err(failed)?;
            let marker = marker
                .ok_or_else(|| OpenError::MarkerGone { store: name(), cluster: ours.clone() })?;
            if marker.cluster != ours {
                return Err(OpenError::OtherCluster {
                    store: name(),
                    theirs: marker.cluster,
                    ours,
                });
            }
            marker
        }
        None if settings.roles.controller => {
            marker_of(store, random, metadata).await.map_err(failed)?
        }
        None => return joined(store, metadata).await,
    };
    // Not at every start: a start that is refused afterwards is to leave the Raft log as it was.
    if metadata.image().cluster().is_none() {
        begin(settings, store, directory, metadata, &marker).await?;
    }
    Ok(marker.cluster)
}

/// A node that does not vote joins the cluster that the voters have formed in its store, or will.
async fn joined(store: &Store, metadata: &Metadata) -> Result<ClusterId, OpenError> {
    let failed = |source| OpenError::Formation { store: store.to_string(), source };
    let mut attempts = 0_u32;
    let marker = loop {
        if let Some(marker) = formation::read(store).await.map_err(failed)? {
            break marker;
        }
        if attempts.is_multiple_of(20) {
            info!(%store, "waiting for the voters to form a cluster");
        }
        attempts += 1;
        tokio::time::sleep(FORMED_PAUSE).await;
    };
    metadata.belongs_to(&marker.cluster);
    metadata.caught_up().await?;
    let mut images = metadata.subscribe();
    images.wait_for(|image| image.cluster().is_some()).await.map_err(|_| Ended)?;
    Ok(marker.cluster)
}

/// Begins the quorum of the founders that the marker names, or waits to be taken into it.
async fn begin(
    settings: &Settings,
    store: &Store,
    directory: &DataDirectory,
    metadata: &Metadata,
    marker: &Marker,
) -> Result<(), OpenError> {
    let voters: Vec<_> = marker.founders.iter().map(voter).collect();
    // A process that died between the marker and the metadata finds its own directory here.
    let is_founder = voters.iter().any(|voter| voter.key.directory == directory.id);
    if !is_founder && !settings.is_one_of_several() {
        let cluster = marker.cluster.clone();
        return Err(OpenError::NotOurs { store: store.to_string(), cluster });
    }
    if !is_founder {
        info!(
            node = settings.node.id,
            directory = %directory.id,
            "not one of the voters that formed this cluster: it waits until `odradek quorum add` takes it in"
        );
    }
    metadata.belongs_to(&marker.cluster);
    metadata.initialise(&voters).await?;
    let image = metadata.caught_up().await?;
    if image.cluster().is_none() {
        let directories = voters.iter().map(|voter| voter.key.directory).collect();
        let form = Form { cluster: marker.cluster.clone(), directories };
        metadata.propose(Command::Form(form)).await?;
    }
    Ok(())
}

/// The marker in the store; made if there is none, of the voters that answer now. Whoever is first with
/// it says who the founders are, whatever others were told when they asked around.
async fn marker_of(
    store: &Store,
    random: &SharedRandom,
    metadata: &Metadata,
) -> Result<Marker, FormationError> {
    if let Some(marker) = formation::read(store).await? {
        return Ok(marker);
    }
    let founders = metadata.founders().await.into_iter().map(founder).collect();
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    let marker = Marker { cluster: ClusterId::from_random(bytes), founders };
    match formation::form(store, &marker).await? {
        Formation::Formed => {
            info!(cluster = %marker.cluster, store = %store, "formed");
            Ok(marker)
        }
        Formation::AlreadyFormed(theirs) => Ok(theirs),
    }
}

fn founder(voter: Voter) -> Founder {
    let Voter { key, endpoint: Endpoint { host, port } } = voter;
    Founder { node: key.node, directory: key.directory.0, host, port }
}

fn voter(founder: &Founder) -> Voter {
    let key = ReplicaKey { node: founder.node, directory: DirectoryId(founder.directory) };
    Voter { key, endpoint: Endpoint { host: founder.host.clone(), port: founder.port } }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path as FilePath;
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use odradek_common::files::SharedFiles;
    use odradek_common::files::sim::SimFiles;
    use odradek_common::net::RealNetwork;
    use odradek_common::phases::Phases;
    use odradek_common::random::SeededRandom;
    use odradek_storage::store::sim::{Lie, SimStore, Weather};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::settings::tests::from_flags;

    /// A node that has been in no quorum, and an empty store.
    struct Fresh {
        store: Store,
        random: SharedRandom,
        directory: DataDirectory,
        metadata: Metadata,
    }

    impl Fresh {
        async fn start() -> Self {
            let random: SharedRandom = Arc::new(SeededRandom::from_seed(1));
            let (objects, retries) = (Arc::new(InMemory::new()), RetryOptions::default());
            let name = "test".to_owned();
            let store = Store::over(objects, Path::default(), name, retries, random.clone());
            let files: SharedFiles = Arc::new(SimFiles::new());
            let directory = DataDirectory::open(&files, FilePath::new("/data"), 1, &*random);
            let directory = directory.unwrap();
            let options = odradek_metadata::Options {
                node: BrokerId(1),
                directory_id: directory.id,
                directory: "/data/raft".into(),
                cluster: None,
                files,
                network: Arc::new(RealNetwork),
                random: random.clone(),
                voters: BTreeMap::new(),
                listen: None,
                secret: None,
                snapshot_entries: 100,
                phases: Phases::none(),
            };
            let (service, metadata) = Metadata::start(options).await.unwrap();
            tokio::spawn(service.run(CancellationToken::new()));
            Self { store, random, directory, metadata }
        }

        async fn form(&self) -> Result<ClusterId, OpenError> {
            form(
                &from_flags(&[]).unwrap(),
                &self.store,
                &self.random,
                &self.directory,
                &self.metadata,
            )
            .await
        }

        /// A marker with one founder.
        async fn mark(&self, directory: DirectoryId) -> Marker {
            let (node, host) = (BrokerId(1), "elsewhere".to_owned());
            let founder = Founder { node, directory: directory.0, host, port: 9 };
            let marker = Marker { cluster: "marked".parse().unwrap(), founders: vec![founder] };
            assert_eq!(formation::form(&self.store, &marker).await.unwrap(), Formation::Formed);
            marker
        }
    }

    #[tokio::test]
    async fn the_first_to_come_marks_the_store_and_begins_the_quorum() {
        let fresh = Fresh::start().await;
        let cluster = fresh.form().await.unwrap();
        let marker = formation::read(&fresh.store).await.unwrap().unwrap();
        assert_eq!(marker.cluster, cluster);
        assert_eq!(marker.founders.iter().map(|f| f.node).collect::<Vec<_>>(), [BrokerId(1)]);
        assert!(fresh.metadata.is_initialised().await.unwrap());
        assert_eq!(fresh.form().await.unwrap(), cluster, "what is done is done");
    }

    /// Who founded the cluster the marker says, not who answers now.
    #[tokio::test]
    async fn founders_come_from_the_marker() {
        let fresh = Fresh::start().await;
        let marker = fresh.mark(fresh.directory.id).await;
        assert_eq!(fresh.form().await.unwrap(), marker.cluster);
        let voters = fresh.metadata.describe_quorum().await.unwrap().voters;
        let founders: Vec<_> = voters
            .into_iter()
            .map(|state| Voter { key: state.key, endpoint: state.endpoint.unwrap() })
            .map(founder)
            .collect();
        assert_eq!(founders, marker.founders);
    }

    #[tokio::test]
    async fn who_is_no_founder_begins_no_quorum() {
        let fresh = Fresh::start().await;
        fresh.mark(DirectoryId(uuid::Uuid::from_u128(7))).await;
        let refused = fresh.form().await;
        assert!(matches!(&refused, Err(OpenError::NotOurs { .. })), "{refused:?}");
        assert!(!fresh.metadata.is_initialised().await.unwrap(), "it made a second one");
    }

    /// Two that are told to have formed the cluster would each acknowledge records in their own.
    #[tokio::test]
    async fn a_store_whose_put_if_absent_is_not_atomic_is_refused() {
        let fresh = Fresh::start().await;
        let sim = SimStore::new(fresh.random.clone(), Weather::fair(0..=1));
        let world = World { store: Some(Arc::new(sim.clone())), ..World::of_machine() };
        let settings = from_flags(&["storage.url=memory://"]).unwrap();
        sim.lie_about(|_, key| key.as_ref().contains("/race-").then_some(Lie::Forgets));
        let refused = open(&settings, &world, &fresh.directory, &fresh.metadata).await;
        let told = refused.err().map(|error| error.to_string()).unwrap_or_default();
        let first = told.lines().next().unwrap_or_default();
        let reason = "memory:// cannot be used: put-if-absent is not atomic: ";
        assert!(first.starts_with(reason), "{told}");
        assert!(!fresh.metadata.is_initialised().await.unwrap(), "it began a quorum");
        sim.lie_about(|_, _| None);
        let store = connect(&settings, &world).await.unwrap();
        assert_eq!(formation::read(&store).await.unwrap(), None, "it marked the store");
        open(&settings, &world, &fresh.directory, &fresh.metadata).await.unwrap();
    }

    #[test]
    fn the_store_gets_what_is_given_for_it() {
        let settings = from_flags(&[
            "storage.endpoint=https://store",
            "storage.region=here",
            "storage.access.key.id=id",
            "storage.secret.access.key=secret",
            "storage.session.token=token",
            "storage.service.account=/etc/account.json",
            "storage.allow.http=false",
            "storage.virtual.hosted.style=true",
        ]);
        let some = |text: &str| Some(text.to_owned());
        let expected = StoreSettings {
            endpoint: some("https://store"),
            region: some("here"),
            access_key: some("id"),
            secret_key: some("secret"),
            session_token: some("token"),
            service_account: some("/etc/account.json"),
            allow_http: Some(false),
            virtual_hosted_style: Some(true),
        };
        assert!(store_settings(&settings.unwrap()) == expected);
    }

    #[test]
    fn plain_http_is_forbidden_only_where_that_is_said() {
        let allowed = |flags: &[&str]| store_settings(&from_flags(flags).unwrap()).allow_http;
        assert_eq!(allowed(&[]), None);
        assert_eq!(allowed(&["storage.allow.http=true"]), Some(true));
        assert_eq!(allowed(&["storage.allow.http=false"]), Some(false));
    }
}
