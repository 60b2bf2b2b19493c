//! Who is at the other end. A caller says who it is, whom it means, and which cluster it belongs to;
//! who is called answers the same, or why not.

use std::io;
use std::sync::Arc;

use odradek_common::ids::{BrokerId, ClusterId};
use odradek_common::limits::PEER_HELLO_BYTES;
use odradek_common::net::Writer;
use prost::Message;
use tokio::sync::watch;

use super::frame::{FrameReader, write_frame};
use super::messages::Hello;
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
    /// The cluster that the data directory notes.
    noted: Option<ClusterId>,
    images: watch::Receiver<Arc<Image>>,
}

impl Introduction {
    pub(crate) fn new(
        me: ReplicaKey,
        noted: Option<ClusterId>,
        images: watch::Receiver<Arc<Image>>,
    ) -> Self {
        Self { me, noted, images }
    }

    fn cluster(&self) -> String {
        let formed = self.images.borrow().cluster().map(|cluster| cluster.id.clone());
        formed.or_else(|| self.noted.clone()).map(|id| id.to_string()).unwrap_or_default()
    }

    fn hello(&self, to: BrokerId) -> Hello {
        Hello {
            magic: MAGIC,
            version: VERSION,
            cluster: self.cluster(),
            from: Some(self.me.into()),
            to: to.0,
            refused: String::new(),
        }
    }

    /// Why `theirs` is not somebody to talk to, if so.
    fn objection(&self, theirs: &Hello, them: ReplicaKey) -> Option<String> {
        let (me, ours) = (self.me, self.cluster());
        let is_other_cluster =
            !ours.is_empty() && !theirs.cluster.is_empty() && ours != theirs.cluster;
        if theirs.version < VERSION {
            Some(format!("version {} is too old: this node speaks {VERSION}", theirs.version))
        } else if is_other_cluster {
            Some(format!("{me} belongs to cluster {ours}, {them} to cluster {}", theirs.cluster))
        } else if theirs.to != me.node.0 {
            Some(format!("node {} was called, and this is {me}", theirs.to))
        } else if them.node == me.node {
            Some(format!("{them} has the node id of {me}"))
        } else {
            None
        }
    }
}

/// The caller's side: says hello to `to` and gives who answered.
pub(super) async fn greet(
    introduction: &Introduction,
    to: BrokerId,
    reader: &mut FrameReader,
    writer: &mut Writer,
) -> io::Result<ReplicaKey> {
    write_frame(writer, &introduction.hello(to)).await?;
    let theirs = read(reader).await?;
    let them = from(&theirs)?;
    if !theirs.refused.is_empty() {
        return Err(refused(theirs.refused));
    }
    match introduction.objection(&theirs, them) {
        None if them.node == to => Ok(them),
        None => Err(refused(format!("node {} was called, and {them} answered", to.0))),
        Some(reason) => Err(refused(reason)),
    }
}

/// The side that is called: answers a hello and gives who called, or refuses it.
pub(super) async fn answer(
    introduction: &Introduction,
    reader: &mut FrameReader,
    writer: &mut Writer,
) -> io::Result<ReplicaKey> {
    let theirs = read(reader).await?;
    let them = from(&theirs)?;
    let objection = introduction.objection(&theirs, them);
    let answer = introduction.hello(them.node);
    let answer = Hello { refused: objection.clone().unwrap_or_default(), ..answer };
    write_frame(writer, &answer).await?;
    objection.map_or(Ok(them), |reason| Err(refused(reason)))
}

async fn read(reader: &mut FrameReader) -> io::Result<Hello> {
    let read = reader.next(PEER_HELLO_BYTES).await?;
    let read = read.ok_or(io::ErrorKind::UnexpectedEof)?;
    let hello = Hello::decode(read.bytes).ok().filter(|hello| hello.magic == MAGIC);
    hello.ok_or_else(|| refused("it does not speak the protocol of the quorum".to_owned()))
}

fn from(hello: &Hello) -> io::Result<ReplicaKey> {
    let from = hello.from.map(ReplicaKey::from);
    from.ok_or_else(|| refused("it does not say who it is".to_owned()))
}

fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}
