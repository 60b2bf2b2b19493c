//! The formation marker: made once for a bucket's prefix, it says which cluster lives there and
//! which voters formed it, each with its data directory and its address (law 2.7): whoever begins the
//! quorum takes them from here, so that two rounds of asking around never make two. This is only the
//! primitive; who may join, and who is refused, the broker decides.

use std::collections::BTreeSet;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, PutMode};
use odradek_common::ids::{BrokerId, ClusterId};
use odradek_common::limits::FORMATION_BYTES;
use uuid::Uuid;

use crate::envelope::{EnvelopeError, Kind};
use crate::names::Names;
use crate::store::{Store, StoreErrorKind, classify, describe};

/// The marker's envelope.
pub const FORMATION: Kind = Kind { name: "formation marker", magic: *b"ODfm", version: 1 };

/// Times that a marker is put which was found to exist and was then not there: somebody removes it.
const VANISHED_MAX: u32 = 3;

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The cluster that lives here.
    pub cluster: ClusterId,
    /// The voters that formed it.
    pub founders: Vec<Founder>,
}

/// One of the first voters of the metadata quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founder {
    /// Its node id.
    pub node: BrokerId,
    /// The id of its data directory.
    pub directory: Uuid,
    /// The host of its CONTROLLER listener; empty of one that is the whole quorum and has none.
    pub host: String,
    /// The port; 0 likewise.
    pub port: u16,
}

/// The outcome of [`form`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formation {
    /// The cluster is formed, as asked for.
    Formed,
    /// Another marker stood there before.
    AlreadyFormed(Marker),
}

/// Why there is no telling whether and how a cluster is formed.
#[derive(Debug, thiserror::Error)]
pub enum FormationError {
    /// The store does not answer, or refuses. A marker that was to be put may be there all the
    /// same.
    #[error("{}", describe(.0))]
    Store(#[source] Error),
    /// The marker is damaged, or of a newer release.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The marker says what it cannot say.
    #[error("the formation marker holds nonsense: {0}")]
    Nonsense(String),
    /// It was said to exist and was not there, again and again.
    #[error("the formation marker appears and disappears: somebody removes it")]
    Vanishes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(string, tag = "1")]
    cluster: String,
    #[prost(message, repeated, tag = "2")]
    founders: Vec<FounderMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FounderMessage {
    #[prost(int32, tag = "1")]
    node: i32,
    #[prost(bytes = "vec", tag = "2")]
    directory: Vec<u8>,
    #[prost(string, tag = "3")]
    host: String,
    #[prost(uint32, tag = "4")]
    port: u32,
}

impl Marker {
    fn encode(&self) -> Bytes {
        FORMATION.seal_message(&Message {
            cluster: self.cluster.to_string(),
            founders: self.founders.iter().map(FounderMessage::from).collect(),
        })
    }

    fn decode(bytes: &Bytes) -> Result<Self, FormationError> {
        let message: Message = FORMATION.open_message(bytes)?;
        let nonsense = |reason: String| FormationError::Nonsense(reason);
        let cluster = message.cluster.parse();
        let cluster =
            cluster.map_err(|e: odradek_common::ids::NotAClusterId| nonsense(e.to_string()))?;
        let founders = message.founders.into_iter().map(FounderMessage::founder);
        let founders: Vec<_> = founders.collect::<Result<_, _>>()?;
        let nodes: BTreeSet<_> = founders.iter().map(|founder| founder.node).collect();
        if nodes.is_empty() || nodes.len() != founders.len() {
            return Err(nonsense("it names no voter, or one twice".to_owned()));
        }
        Ok(Self { cluster, founders })
    }
}

impl From<&Founder> for FounderMessage {
    fn from(founder: &Founder) -> Self {
        let (node, port) = (founder.node.0, u32::from(founder.port));
        let directory = founder.directory.as_bytes().to_vec();
        Self { node, directory, host: founder.host.clone(), port }
    }
}

impl FounderMessage {
    fn founder(self) -> Result<Founder, FormationError> {
        let nonsense = |what: &str, error: &dyn std::fmt::Display| {
            FormationError::Nonsense(format!("{what}: {error}"))
        };
        let directory = Uuid::from_slice(&self.directory);
        let directory = directory.map_err(|error| nonsense("a directory id", &error))?;
        let port = u16::try_from(self.port).map_err(|error| nonsense("a port", &error))?;
        Ok(Founder { node: BrokerId(self.node), directory, host: self.host, port })
    }
}

/// Puts `marker` into the store if there is none. Answers [`Formation::Formed`] also if the very
/// same marker is there already: an earlier attempt of ours has landed.
///
/// # Errors
/// See [`FormationError`]; call it again with the same marker.
pub async fn form(store: &Store, marker: &Marker) -> Result<Formation, FormationError> {
    let path = Names::formation(store.prefix());
    let objects = store.retrying();
    for _ in 0..VANISHED_MAX {
        let put = objects.put_opts(&path, marker.encode().into(), PutMode::Create.into()).await;
        match put {
            Ok(_) => return Ok(Formation::Formed),
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(FormationError::Store(error)),
        }
        match read_at(&*objects, &path).await? {
            Some(there) if there == *marker => return Ok(Formation::Formed),
            Some(there) => return Ok(Formation::AlreadyFormed(there)),
            None => {}
        }
    }
    Err(FormationError::Vanishes)
}

/// The marker in the store, if there is one.
///
/// # Errors
/// See [`FormationError`].
pub async fn read(store: &Store) -> Result<Option<Marker>, FormationError> {
    read_at(&*store.retrying(), &Names::formation(store.prefix())).await
}

async fn read_at(objects: &dyn ObjectStore, path: &Path) -> Result<Option<Marker>, FormationError> {
    // A marker is never so long: the envelope then does not fit and is refused.
    let range = Some(GetRange::Bounded(0..FORMATION_BYTES));
    let found = objects.get_opts(path, GetOptions { range, ..GetOptions::default() }).await;
    let bytes = match found {
        Ok(found) => found.bytes().await.map_err(FormationError::Store)?,
        Err(Error::NotFound { .. }) => return Ok(None),
        // An empty object has no range.
        Err(error) if classify(&error) == StoreErrorKind::InvalidRange => Bytes::new(),
        Err(error) => return Err(FormationError::Store(error)),
    };
    Marker::decode(&bytes).map(Some)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use odradek_common::random::SeededRandom;

    use super::*;
    use crate::store::faulty::{Fault, Faults, Faulty, On, Outage};
    use crate::store::{Operation, RetryOptions};

    fn store() -> (Store, Faults) {
        let random = Arc::new(SeededRandom::from_seed(1));
        let faulty = Faulty::new(Arc::new(InMemory::new()), random.clone());
        let faults = faulty.faults();
        let (faulty, prefix) = (Arc::new(faulty), Path::from("some/where"));
        (Store::over(faulty, prefix, "test".into(), RetryOptions::default(), random), faults)
    }

    fn founder(node: i32, id: u128) -> Founder {
        let (directory, host) = (Uuid::from_u128(id), format!("h{node}"));
        Founder { node: BrokerId(node), directory, host, port: 9093 }
    }

    fn marker(id: u128) -> Marker {
        let cluster = ClusterId::from_random(id.to_be_bytes());
        Marker { cluster, founders: vec![founder(1, id), founder(2, 77)] }
    }

    #[tokio::test]
    async fn a_prefix_is_formed_once() {
        let (store, _) = store();
        assert_eq!(read(&store).await.unwrap(), None);
        assert_eq!(form(&store, &marker(1)).await.unwrap(), Formation::Formed);
        let other = form(&store, &marker(2)).await.unwrap();
        assert_eq!(other, Formation::AlreadyFormed(marker(1)));
        assert_eq!(form(&store, &marker(1)).await.unwrap(), Formation::Formed);
        assert_eq!(read(&store).await.unwrap(), Some(marker(1)));
        store.direct().head(&Path::from("some/where/formation")).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_resolved_by_reading() {
        for fault in [Fault::AnswerLost, Fault::OwnAlreadyExists, Fault::Unavailable] {
            let (store, faults) = store();
            faults.next(On::every(Operation::Put), fault.clone());
            let formed = form(&store, &marker(1)).await.unwrap();
            assert_eq!(formed, Formation::Formed, "{fault:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_is_an_error_and_not_an_absence() {
        let (store, faults) = store();
        form(&store, &marker(1)).await.unwrap();
        faults.outage(Outage::Refused);
        assert!(matches!(read(&store).await, Err(FormationError::Store(_))));
        assert!(matches!(form(&store, &marker(1)).await, Err(FormationError::Store(_))));
    }

    #[tokio::test]
    async fn a_marker_that_vanishes_is_told() {
        let (store, faults) = store();
        faults.always(On::every(Operation::Put), Fault::OwnAlreadyExists);
        faults.times(2, On::every(Operation::Get), Fault::Missing);
        assert_eq!(form(&store, &marker(1)).await.unwrap(), Formation::Formed);
        faults.times(3, On::every(Operation::Get), Fault::Missing);
        assert!(matches!(form(&store, &marker(1)).await, Err(FormationError::Vanishes)));
    }

    #[tokio::test]
    async fn what_is_no_marker_is_refused() {
        let path = Path::from("some/where/formation");
        let newer = Kind { version: 2, ..FORMATION }.seal(b"");
        let nonsense =
            FORMATION.seal_message(&Message { cluster: "../x".into(), founders: Vec::new() });
        let good = FounderMessage::from(&founder(1, 1));
        let of = |founders| FORMATION.seal_message(&Message { cluster: "ok".into(), founders });
        let bad_id = of(vec![FounderMessage { directory: vec![1; 15], ..good.clone() }]);
        let bad_port = of(vec![FounderMessage { port: 65_536, ..good.clone() }]);
        let (nobody, twice) = (of(Vec::new()), of(vec![good.clone(), good]));
        let limit = usize::try_from(FORMATION_BYTES).unwrap();
        let long = FORMATION.seal(&vec![0; limit]);
        let empty = [Bytes::new(), Bytes::from_static(b"hello, world!!!")];
        let made = [newer, nonsense, bad_id, bad_port, nobody, twice, long];
        for bytes in empty.into_iter().chain(made) {
            let (store, _) = store();
            store.direct().put(&path, bytes.clone().into()).await.unwrap();
            assert!(read(&store).await.is_err(), "{bytes:?}");
            assert!(form(&store, &marker(1)).await.is_err(), "{bytes:?}");
            let kept = store.direct().get(&path).await.unwrap().bytes().await.unwrap();
            assert_eq!(kept, bytes);
        }
    }

    /// A marker as the first release wrote it opens in every later one.
    #[test]
    fn the_format_is_fixed() {
        let marker = Marker { cluster: "abc".parse().unwrap(), founders: vec![founder(7, 1)] };
        let bytes = marker.encode();
        let expected = b"ODfm\x00\x01\x00\x00\x00\x22\x0a\x03abc\x12\x1b\x08\x07\
            \x12\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\x02h7\x20\x85\x47";
        assert_eq!(&bytes[..bytes.len() - 4], expected);
        assert_eq!(Marker::decode(&bytes).unwrap(), marker);
    }
}
