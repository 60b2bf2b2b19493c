//! Following the feed: a node that is no member of the quorum applies what any member tells it to be
//! committed. It goes on with another member when one does not answer or knows no leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::ids::BrokerId;
use odradek_common::limits::{FEED_WAIT_MS, METADATA_SNAPSHOT_BYTES, PEER_SILENCE_MS};
use prost::Message;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::calls::{FollowAnswer, FollowRequest};
use crate::disk::decode_snapshot_file;
use crate::ids::Endpoint;
use crate::peer::{Kind, Peers, Target};
use crate::quorum::{Leadership, StoredEntry, bundle};
use crate::state::State;
use crate::wire::{DecodeError, decode_snapshot};

/// How long is waited before the next member is asked.
const PAUSE: Duration = Duration::from_millis(100);

/// Follows the feed.
#[derive(Debug)]
pub(crate) struct FeedFollower {
    me: BrokerId,
    peers: Arc<Peers>,
    voters: BTreeMap<BrokerId, Endpoint>,
    state: State,
    leadership: watch::Sender<Leadership>,
    /// The entry that is needed next.
    next: u64,
    /// A snapshot that is coming in.
    coming: Option<Coming>,
}

#[derive(Debug)]
struct Coming {
    index: u64,
    bytes: Vec<u8>,
}

/// Why another member is tried.
enum Leave {
    /// It is of no use now.
    Useless(String),
    /// What it tells cannot be read: the node must stop.
    Damaged(DecodeError),
}

impl From<DecodeError> for Leave {
    fn from(error: DecodeError) -> Self {
        Self::Damaged(error)
    }
}

impl FeedFollower {
    pub(crate) fn new(
        me: BrokerId,
        peers: Arc<Peers>,
        voters: BTreeMap<BrokerId, Endpoint>,
        state: State,
        leadership: watch::Sender<Leadership>,
    ) -> Self {
        Self { me, peers, voters, state, leadership, next: 0, coming: None }
    }

    /// Follows until something cannot be read. Nodes begin with different voters.
    pub(crate) async fn run(mut self) -> DecodeError {
        let mut voters: Vec<_> = self.voters.clone().into_iter().collect();
        let first = usize::try_from(self.me.0).unwrap_or(0) % voters.len().max(1);
        voters.rotate_left(first);
        loop {
            for (node, endpoint) in voters.clone() {
                let from = Target { node, directory: None, endpoint };
                match self.follow(&from).await {
                    Leave::Useless(reason) => {
                        tracing::debug!(node = node.0, reason, "another member is followed");
                    }
                    Leave::Damaged(error) => return error,
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn follow(&mut self, from: &Target) -> Leave {
        loop {
            if let Err(leave) = self.ask(from).await {
                return leave;
            }
        }
    }

    async fn ask(&mut self, from: &Target) -> Result<(), Leave> {
        let (snapshot, offset) = match &self.coming {
            Some(coming) => (Some(coming.index), coming.bytes.len() as u64),
            None => (None, 0),
        };
        let request = FollowRequest { next: self.next, snapshot, snapshot_offset: offset };
        let until = Instant::now() + Duration::from_millis(FEED_WAIT_MS + PEER_SILENCE_MS);
        let answer =
            self.peers.call(from, Kind::Follow, request.encode_to_vec().into(), until).await;
        let answer = answer.map_err(|error| Leave::Useless(error.to_string()))?;
        let answer = FollowAnswer::decode(answer);
        let answer =
            answer.map_err(|error| DecodeError::damaged("an answer of the feed", error))?;
        let leads = self.note_leadership(answer.leadership());
        if let Some(index) = answer.snapshot {
            return self.take_piece(index, &answer);
        }
        let is_empty = answer.entries.is_empty();
        self.apply(&answer)?;
        if is_empty && !leads {
            return Err(Leave::Useless("it knows no leader and has nothing new".to_owned()));
        }
        Ok(())
    }

    /// Of what different members tell, the latest term is true.
    fn note_leadership(&self, told: Leadership) -> bool {
        let leads = told.leader.is_some();
        self.leadership.send_if_modified(|known| {
            let is_news = told.term > known.term || (told.term == known.term && leads);
            let is_new = is_news && *known != told;
            if is_new {
                *known = told;
            }
            is_new
        });
        leads
    }

    fn apply(&mut self, answer: &FollowAnswer) -> Result<(), Leave> {
        if answer.entries.is_empty() {
            return Ok(());
        }
        let mut applying = self.state.begin();
        let mut next = self.next;
        for entry in bundle::split(answer.entries.clone())? {
            let entry = StoredEntry::decode(entry)?;
            if entry.index != next {
                let reason = format!("it told of entry {} after {next}", entry.index);
                return Err(Leave::Useless(reason));
            }
            applying.apply(entry.index, entry.commands.as_deref())?;
            next += 1;
        }
        applying.publish();
        self.next = next;
        self.coming = None;
        Ok(())
    }

    fn take_piece(&mut self, index: u64, answer: &FollowAnswer) -> Result<(), Leave> {
        let useless = |reason: &str| Err(Leave::Useless(reason.to_owned()));
        if index < self.next || answer.snapshot_bytes > METADATA_SNAPSHOT_BYTES {
            return useless("it has no snapshot of use");
        }
        let coming = self.coming.get_or_insert(Coming { index, bytes: Vec::new() });
        if coming.index != index || answer.snapshot_offset == 0 {
            *coming = Coming { index, bytes: Vec::new() };
        }
        if answer.snapshot_offset != coming.bytes.len() as u64 || answer.piece.is_empty() {
            self.coming = None;
            return useless("its snapshot does not go on");
        }
        coming.bytes.extend_from_slice(&answer.piece);
        if (coming.bytes.len() as u64) < answer.snapshot_bytes {
            return Ok(());
        }
        let bytes = std::mem::take(&mut coming.bytes);
        self.coming = None;
        let image = decode_snapshot(&decode_snapshot_file(&bytes)?.image)?;
        self.next = image.applied_index() + 1;
        self.state.replace(image);
        Ok(())
    }
}
