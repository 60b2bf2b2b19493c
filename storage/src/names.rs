//! The names of objects in the bucket. Each is unique to its attempt; the cluster id is in all but
//! that of the formation marker. Numbers are written with 20 digits, so that a listing sorts them.

use std::fmt;

use object_store::path::Path;
use odradek_common::ids::{BrokerEpoch, BrokerId, ChainId, ClusterId, SlotNumber};

/// What an object holds that carries a birth mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Ranges of records.
    Segment,
    /// A list of ranges of many partitions.
    Index,
    /// A version of the list of segments of a partition group.
    Manifest,
}

impl ObjectKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Segment, Self::Index, Self::Manifest];

    /// The folder of this kind below the cluster's.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Segment => "seg",
            Self::Index => "idx",
            Self::Manifest => "man",
        }
    }
}

/// The name of an object with a birth mark: kind, mark and the attempt's unique part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// What it holds.
    pub kind: ObjectKind,
    /// The Raft index applied when the attempt began.
    pub mark: u64,
    /// Unique to the object.
    pub unique: uuid::Uuid,
}

/// A text that is not the name of an object.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an object name")]
pub struct NotAnObjectName(pub String);

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:020}/{}", self.kind.folder(), self.mark, self.unique.as_simple())
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for ObjectName {
    type Err = NotAnObjectName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotAnObjectName(text.to_owned());
        let mut parts = text.split('/');
        let (Some(folder), Some(mark), Some(unique), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let kind = ObjectKind::ALL.into_iter().find(|k| k.folder() == folder).ok_or_else(wrong)?;
        let mark = mark.parse().map_err(|_| wrong())?;
        let unique = uuid::Uuid::try_parse(unique).map_err(|_| wrong())?;
        let name = Self { kind, mark, unique };
        if name.to_string() == text { Ok(name) } else { Err(wrong()) }
    }
}

/// A slot's place: written once, by its broker or by a sealer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotRef {
    /// The chain it belongs to.
    pub chain: ChainRef,
    /// Its number there.
    pub slot: SlotNumber,
}

/// A chain of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainRef {
    /// The broker that writes it.
    pub broker: BrokerId,
    /// The registration in which it does.
    pub epoch: BrokerEpoch,
    /// The chain.
    pub chain: ChainId,
}

impl ChainRef {
    /// The slot `slot` of this chain.
    #[must_use]
    pub fn slot(self, slot: SlotNumber) -> SlotRef {
        SlotRef { chain: self, slot }
    }
}

/// The names below one bucket prefix and cluster id.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: Path,
    cluster: ClusterId,
}

impl Names {
    /// Names of `cluster` below `prefix` (empty for the bucket's root).
    #[must_use]
    pub fn new(prefix: Path, cluster: ClusterId) -> Self {
        Self { prefix, cluster }
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// The formation marker below `prefix`: one a bucket prefix.
    #[must_use]
    pub fn formation(prefix: &Path) -> Path {
        prefix.clone().join("formation")
    }

    /// Everything of the cluster.
    #[must_use]
    pub fn root(&self) -> Path {
        self.prefix.clone().join(self.cluster.as_str())
    }

    /// An object with a birth mark.
    #[must_use]
    pub fn object(&self, name: &ObjectName) -> Path {
        self.folder(name.kind)
            .join(format!("{:020}", name.mark))
            .join(name.unique.as_simple().to_string())
    }

    /// All objects of a kind.
    #[must_use]
    pub fn folder(&self, kind: ObjectKind) -> Path {
        self.root().join(kind.folder())
    }

    /// A slot or seal.
    #[must_use]
    pub fn slot(&self, at: SlotRef) -> Path {
        self.chain(at.chain).join(format!("{:020}", at.slot.0))
    }

    /// All slots and seals of a chain.
    #[must_use]
    pub fn chain(&self, chain: ChainRef) -> Path {
        self.wal()
            .join(chain.broker.0.to_string())
            .join(format!("{:020}", chain.epoch.0))
            .join(chain.chain.0.to_string())
    }

    /// All slots and seals of the cluster.
    #[must_use]
    pub fn wal(&self) -> Path {
        self.root().join("wal")
    }

    /// All copies of the metadata.
    #[must_use]
    pub fn copies(&self) -> Path {
        self.root().join("meta")
    }

    /// The object's name that `path` stands for, if it is one of this cluster.
    #[must_use]
    pub fn parse_object(&self, path: &Path) -> Option<ObjectName> {
        path.as_ref().strip_prefix(self.root().as_ref())?.strip_prefix('/')?.parse().ok()
    }

    /// The slot that `path` stands for, if it is one of this cluster.
    #[must_use]
    pub fn parse_slot(&self, path: &Path) -> Option<SlotRef> {
        let rest = path.as_ref().strip_prefix(self.wal().as_ref())?.strip_prefix('/')?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [broker, epoch, chain, slot] = parts[..] else { return None };
        let chain = ChainRef {
            broker: BrokerId(broker.parse().ok()?),
            epoch: BrokerEpoch(epoch.parse().ok()?),
            chain: ChainId(chain.parse().ok()?),
        };
        Some(chain.slot(SlotNumber(slot.parse().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for prefix in ["", "some/where"] {
            let names = Names::new(Path::from(prefix), "abc".parse().unwrap());
            let name =
                ObjectName { kind: ObjectKind::Index, mark: 7, unique: uuid::Uuid::from_u128(9) };
            assert_eq!(names.parse_object(&names.object(&name)), Some(name));
            let chain = ChainRef { broker: BrokerId(1), epoch: BrokerEpoch(2), chain: ChainId(0) };
            let slot = chain.slot(SlotNumber(44));
            assert_eq!(names.parse_slot(&names.slot(slot)), Some(slot));
            assert_eq!(names.parse_object(&names.slot(slot)), None);
            assert_eq!(names.parse_slot(&names.object(&name)), None);
        }
    }
}
