//! What this node answers, to others and to itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use odradek_common::limits::{BROKERS, FEED_WAIT_MS, METADATA_COPY_MS};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::calls::{
    AddVoterRequest, Confirmed, CopiedRequest, DescribeAnswer, FollowAnswer, FollowRequest,
    RemoveVoterRequest, decode_short,
};
use crate::copies::Copies;
use crate::disk::DiskError;
use crate::heartbeats::{Board, HeartbeatRequest};
use crate::ids::{Endpoint, ReplicaKey, Voter};
use crate::peer::{Answer, Answers, Kind, Refusal, VoterRecord};
use crate::quorum::{Committed, CommittedLog, Leadership, Progress, Quorum, bundle};
use crate::wire::{check_proposal, decode_entry};

/// A follower that has not asked for so long is gone.
const FOLLOWER_GONE: Duration = Duration::from_secs(60);

/// The answers of a member of the quorum, or of a node that waits to become one.
#[derive(Debug)]
pub(crate) struct MemberAnswers {
    pub(crate) me: ReplicaKey,
    pub(crate) quorum: Arc<dyn Quorum>,
    pub(crate) committed: CommittedLog,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) followers: Mutex<BTreeMap<ReplicaKey, Follower>>,
    pub(crate) board: Arc<Board>,
    pub(crate) copies: Arc<Copies>,
    /// Answers of the feed that may be on their way at once.
    pub(crate) room: Arc<Semaphore>,
}

/// Who follows the feed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follower {
    next: u64,
    heard: Instant,
    caught_up: Option<Instant>,
}

/// The answers of a node that is no member: none.
#[derive(Debug)]
pub(crate) struct NoAnswers;

#[async_trait]
impl Answers for NoAnswers {
    async fn answer(&self, _: ReplicaKey, _: Kind, _: Bytes) -> Result<Answer, Refusal> {
        Err(Refusal::not_leader(None))
    }

    fn left(&self, _: ReplicaKey) {}
}

#[async_trait]
impl Answers for MemberAnswers {
    async fn answer(
        &self,
        from: ReplicaKey,
        kind: Kind,
        request: Bytes,
    ) -> Result<Answer, Refusal> {
        let answer: Bytes = match kind {
            Kind::Follow => return self.follow(from, decode_short(request)?).await,
            Kind::Append | Kind::Vote | Kind::Snapshot => {
                let answer = self.quorum.answer(from, kind, request).await?;
                if kind == Kind::Append {
                    self.board.led(from);
                }
                answer
            }
            Kind::Propose => {
                check_proposal(&request).map_err(Refusal::invalid)?;
                // An entry that cannot be read would stop every node that applies it.
                if from != self.me {
                    decode_entry(&request).map_err(Refusal::invalid)?;
                }
                self.quorum.propose(request).await?;
                Bytes::new()
            }
            Kind::Confirm => {
                let index = self.quorum.confirm().await?;
                Confirmed { index }.encode_to_vec().into()
            }
            Kind::Describe => {
                let answer = DescribeAnswer::new(&self.quorum.describe(), &self.followers());
                answer.encode_to_vec().into()
            }
            Kind::AddVoter => {
                let request: AddVoterRequest = decode_short(request)?;
                let voter = request.voter.and_then(VoterRecord::voter);
                let voter = voter.ok_or_else(|| Refusal::invalid("it names no voter"))?;
                self.quorum.add_voter(voter).await?;
                Bytes::new()
            }
            Kind::RemoveVoter => {
                let request: RemoveVoterRequest = decode_short(request)?;
                let key = request.key.ok_or_else(|| Refusal::invalid("it names no voter"))?;
                self.quorum.remove_voter(key.into()).await?;
                Bytes::new()
            }
            Kind::Heartbeat => {
                let request: HeartbeatRequest = decode_short(request)?;
                let heartbeat = request.check(from)?;
                self.check_leads()?;
                self.board.heard(heartbeat);
                Bytes::new()
            }
            Kind::Copied => {
                let request: CopiedRequest = decode_short(request)?;
                self.check_leads()?;
                let limit = Duration::from_millis(METADATA_COPY_MS);
                let reached =
                    timeout(limit, self.copies.reach(request.index, self.committed.applied()))
                        .await;
                reached.map_err(Refusal::failed)?;
                Bytes::new()
            }
        };
        Ok(answer.into())
    }

    fn left(&self, from: ReplicaKey) {
        self.board.left(from);
    }
}

impl MemberAnswers {
    /// Sessions are the leader's to measure, and copies its to make.
    fn check_leads(&self) -> Result<(), Refusal> {
        let leader = self.leadership.borrow().leader.clone();
        if leader.as_ref().is_none_or(|leader| leader.key != self.me) {
            return Err(Refusal::not_leader(leader));
        }
        Ok(())
    }

    /// Entries from where the follower stands, at once or when there are some; a piece of a snapshot
    /// if it stands too far back.
    async fn follow(&self, from: ReplicaKey, request: FollowRequest) -> Result<Answer, Refusal> {
        let next = request.next;
        self.note(from, next, self.committed.is_at(next));
        let wait = Duration::from_millis(FEED_WAIT_MS);
        // If nothing comes, who leads is an answer too.
        let _ = timeout(wait, self.committed.reached(next)).await;
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = Some(room.map_err(Refusal::failed)?);
        let found = self.committed.from(next).await.map_err(failed)?;
        let leadership = self.leadership.borrow().clone();
        let mut answer = FollowAnswer::of(&leadership);
        match found {
            Committed::UpToDate => {}
            Committed::Entries(entries) => {
                answer.entries = bundle::join(entries.into_iter().map(|(_, entry)| entry));
            }
            Committed::Purged => {
                let wanted = request.snapshot.map(|index| (index, request.snapshot_offset));
                let piece = self.committed.snapshot(wanted).await.map_err(failed)?;
                let piece = piece.ok_or_else(|| Refusal::failed("there is no snapshot"))?;
                answer.snapshot = Some(piece.index);
                answer.snapshot_bytes = piece.total;
                answer.snapshot_offset = piece.offset;
                answer.piece = piece.bytes;
            }
        }
        Ok(Answer { bytes: answer.encode_to_vec().into(), room })
    }

    fn note(&self, from: ReplicaKey, next: u64, is_caught_up: bool) {
        let mut followers = self.followers.lock();
        let heard = Instant::now();
        let before = followers.get(&from).and_then(|follower| follower.caught_up);
        if before.is_none() {
            followers.retain(|_, follower| heard - follower.heard < FOLLOWER_GONE);
        }
        if followers.len() < 2 * BROKERS || followers.contains_key(&from) {
            let caught_up = if is_caught_up { Some(heard) } else { before };
            followers.insert(from, Follower { next, heard, caught_up });
        }
    }

    fn followers(&self) -> Vec<Progress> {
        let now = Instant::now();
        let progress = |(key, follower): (&ReplicaKey, &Follower)| Progress {
            // Followers have no listener that the quorum knows of.
            replica: Voter { key: *key, endpoint: Endpoint::default() },
            last: follower.next.checked_sub(1),
            heard: Some(now - follower.heard),
            caught_up: follower.caught_up.map(|at| now - at),
        };
        let followers = self.followers.lock();
        let there = followers.iter().filter(|(_, one)| now - one.heard < FOLLOWER_GONE);
        there.map(progress).collect()
    }
}

fn failed(error: DiskError) -> Refusal {
    tracing::warn!(%error, "a follower cannot be served");
    Refusal::failed(error)
}
