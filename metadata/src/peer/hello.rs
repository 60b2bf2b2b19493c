//! Who is at the other end. Both draw a number at random, the caller first. Then the caller says who it is, whom it
//! means, and which cluster it belongs to; who is called answers the same, or why not. Each shows by these numbers that
//! it knows the secret, if there is one.
//!
//! Nodes that do not know their cluster yet may ask who the others are, so that there can be a
//! formation marker, and nothing else.

use std::io;
use std::sync::{Arc, OnceLock};

use odradek_common::ids::{BrokerId, ClusterId};
use odradek_common::limits::PEER_HELLO_BYTES;
use odradek_common::net::Writer;
use odradek_common::random::SharedRandom;
use prost::Message;
use tokio::sync::watch;

use super::frame::{FrameReader, write_frame};
use super::messages::{Greeting, Hello};
use super::secret::{NONCE_BYTES, PeerSecret, Side};
use crate::ids::ReplicaKey;
use crate::image::Image;

/// `ODRPEER` and a zero.
pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"ODRPEER\0");

/// The version of the frames and messages that this build speaks.
const VERSION: u32 = 1;

/// What this node says of itself.
#[derive(Debug)]
pub(crate) struct Introduction {
    me: ReplicaKey,
    /// The cluster that the data directory notes, or the formation marker.
    noted: OnceLock<ClusterId>,
    images: watch::Receiver<Arc<Image>>,
    secret: Option<PeerSecret>,
    random: SharedRandom,
}

/// What both sides drew for a connection, the caller's first.
type Nonces = [[u8; NONCE_BYTES]; 2];

/// Who answered or called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Introduced {
    pub(super) them: ReplicaKey,
    /// Whether both sides know that they belong to one cluster.
    pub(super) is_of_cluster: bool,
}

impl Introduction {
    pub(crate) fn new(
        me: ReplicaKey,
        noted: Option<ClusterId>,
        images: watch::Receiver<Arc<Image>>,
        secret: Option<PeerSecret>,
        random: SharedRandom,
    ) -> Self {
        let noted = noted.map_or_else(OnceLock::new, OnceLock::from);
        Self { me, noted, images, secret, random }
    }

    /// Notes the cluster, if it was not known.
    pub(crate) fn belongs_to(&self, cluster: &ClusterId) {
        self.noted.get_or_init(|| cluster.clone());
    }

    /// Whether callers show that they are no strangers.
    pub(super) fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    fn cluster(&self) -> String {
        let formed = self.images.borrow().cluster().map(|cluster| cluster.id.clone());
        formed.or_else(|| self.noted.get().cloned()).map(|id| id.to_string()).unwrap_or_default()
    }

    fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        self.random.fill(&mut nonce);
        nonce
    }

    fn hello(&self, to: BrokerId, side: Side, nonces: &Nonces) -> Hello {
        let mut hello = Hello {
            version: VERSION,
            cluster: self.cluster(),
            from: Some(self.me.into()),
            to: to.0,
            refused: String::new(),
            proof: Vec::new(),
        };
        if let Some(secret) = &self.secret {
            hello.proof = said(&hello, nonces, |said| secret.proof(side, said));
        }
        hello
    }

    /// An answer that tells nothing but why.
    fn refusal(reason: &str) -> Hello {
        Hello { version: VERSION, refused: reason.to_owned(), ..Hello::default() }
    }

    fn knows_secret(&self, theirs: &Hello, side: Side, nonces: &Nonces) -> bool {
        self.secret.as_ref().is_none_or(|secret| {
            said(theirs, nonces, |said| secret.is_proof(side, said, &theirs.proof))
        })
    }

    /// Who says `theirs`, or why that is nobody to talk to.
    fn judge(&self, theirs: &Hello, side: Side, nonces: &Nonces) -> Result<Introduced, String> {
        let (me, ours) = (self.me, self.cluster());
        if !self.knows_secret(theirs, side, nonces) {
            return Err("it does not know the secret of the cluster's nodes".to_owned());
        }
        let them = theirs.from.map(ReplicaKey::from).ok_or("it does not say who it is")?;
        let is_known = !ours.is_empty() && !theirs.cluster.is_empty();
        if theirs.version < VERSION {
            Err(format!("version {} is too old: this node speaks {VERSION}", theirs.version))
        } else if is_known && ours != theirs.cluster {
            Err(format!("{me} belongs to cluster {ours}, {them} to cluster {}", theirs.cluster))
        } else if theirs.to != me.node.0 {
            Err(format!("node {} was called, and this is {me}", theirs.to))
        } else if them.node == me.node {
            Err(format!("{them} has the node id of {me}"))
        } else {
            Ok(Introduced { them, is_of_cluster: is_known })
        }
    }
}

/// What the proof of a hello is of: all that it says, and what was drawn for the connection.
fn said<T>(hello: &Hello, nonces: &Nonces, of: impl FnOnce(&[&[u8]]) -> T) -> T {
    let (node, directory) = hello
        .from
        .map(ReplicaKey::from)
        .map_or((-1, 0), |from| (from.node.0, from.directory.0.as_u128()));
    let [caller, called] = nonces;
    of(&[
        caller,
        called,
        &hello.version.to_be_bytes(),
        &node.to_be_bytes(),
        &directory.to_be_bytes(),
        &hello.to.to_be_bytes(),
        hello.cluster.as_bytes(),
    ])
}

/// The caller's side: says hello to `to` and gives who answered.
pub(super) async fn greet(
    introduction: &Introduction,
    to: BrokerId,
    reader: &mut FrameReader,
    writer: &mut Writer,
) -> io::Result<Introduced> {
    let mine = introduction.nonce();
    write_frame(writer, &Greeting { magic: MAGIC, nonce: mine.to_vec() }).await?;
    let nonces = [mine, read_nonce(reader).await?];
    write_frame(writer, &introduction.hello(to, Side::Caller, &nonces)).await?;
    let theirs: Hello = read(reader).await?;
    if !theirs.refused.is_empty() {
        return Err(refused(theirs.refused));
    }
    let introduced = introduction.judge(&theirs, Side::Called, &nonces).map_err(refused)?;
    if introduced.them.node != to {
        return Err(refused(format!("node {} was called, and {} answered", to.0, introduced.them)));
    }
    Ok(introduced)
}

/// The side that is called: answers a hello and gives who called, or refuses it.
pub(super) async fn answer(
    introduction: &Introduction,
    reader: &mut FrameReader,
    writer: &mut Writer,
) -> io::Result<Introduced> {
    let theirs = read_nonce(reader).await?;
    let nonces = [theirs, introduction.nonce()];
    write_frame(writer, &Greeting { magic: MAGIC, nonce: nonces[1].to_vec() }).await?;
    let theirs = read(reader).await?;
    match introduction.judge(&theirs, Side::Caller, &nonces) {
        Ok(introduced) => {
            let hello = introduction.hello(introduced.them.node, Side::Called, &nonces);
            write_frame(writer, &hello).await?;
            Ok(introduced)
        }
        Err(reason) => {
            write_frame(writer, &Introduction::refusal(&reason)).await?;
            Err(refused(reason))
        }
    }
}

async fn read_nonce(reader: &mut FrameReader) -> io::Result<[u8; NONCE_BYTES]> {
    let greeting: Greeting = read(reader).await?;
    let nonce = Some(greeting.nonce).filter(|_| greeting.magic == MAGIC);
    nonce.and_then(|nonce| nonce.try_into().ok()).ok_or_else(other_protocol)
}

async fn read<M: Message + Default>(reader: &mut FrameReader) -> io::Result<M> {
    let read = reader.next(PEER_HELLO_BYTES).await?;
    let read = read.ok_or(io::ErrorKind::UnexpectedEof)?;
    M::decode(read.bytes).map_err(|_| other_protocol())
}

fn other_protocol() -> io::Error {
    refused("it does not speak the protocol of the quorum".to_owned())
}

fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}
