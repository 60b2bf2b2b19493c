//! What the nodes of a cluster know and strangers do not.

use std::fmt;

use odradek_common::limits::PEER_SECRET_BYTES;
use subtle::ConstantTimeEq;

/// A secret that all nodes of a cluster are given. It keeps strangers out; who listens on the wire
/// learns it.
#[derive(Clone)]
pub struct PeerSecret(Vec<u8>);

impl PeerSecret {
    /// A secret of these bytes: some, and not more than fit into a hello.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (1..=PEER_SECRET_BYTES).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Whether somebody knows it; how long that takes does not tell how much of it was right.
    pub(super) fn is(&self, theirs: &[u8]) -> bool {
        self.0.as_slice().ct_eq(theirs).into()
    }

    /// What is said to who has to know it.
    pub(super) fn said(&self) -> Vec<u8> {
        self.0.clone()
    }
}

impl fmt::Debug for PeerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerSecret")
    }
}
