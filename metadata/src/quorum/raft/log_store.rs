//! openraft's log and vote on our disk.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use odradek_common::limits::{METADATA_APPEND_BYTES, METADATA_APPEND_ENTRIES};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, EntryPayload, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError,
};

use super::{Config, Entry, LogId, NodeId, Vote, aside, codec};
use crate::disk::{DiskError, Log};
use crate::quorum::installs::Installs;

/// The log and vote of this node.
#[derive(Clone, Debug)]
pub(super) struct LogStore {
    me: NodeId,
    /// This node is the whole quorum.
    is_alone: bool,
    log: Arc<Log>,
    installs: Arc<Installs>,
}

impl LogStore {
    pub(super) fn new(me: NodeId, is_alone: bool, log: Log, installs: Arc<Installs>) -> Self {
        Self { me, is_alone, log: Arc::new(log), installs }
    }

    /// The log as it lies on the disk.
    pub(super) fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }

    async fn read(
        &self,
        range: (Bound<u64>, Bound<u64>),
        count: usize,
        bytes: usize,
    ) -> Result<Vec<Entry>, StorageError<NodeId>> {
        let entries = self.on_disk(move |log| log.read_some(range, count, bytes)).await;
        let entries = entries.map_err(StorageIOError::read_logs)?;
        let decode = |(_, bytes)| codec::decode_entry(bytes);
        let entries: Result<Vec<_>, _> = entries.into_iter().map(decode).collect();
        Ok(entries.map_err(|error| StorageIOError::read_logs(AnyError::new(&error)))?)
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Log) -> Result<T, DiskError> + Send + 'static,
    ) -> Result<T, AnyError> {
        let log = Arc::clone(&self.log);
        aside(move || call(&log)).await
    }
}

impl RaftLogReader<Config> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError<NodeId>> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        self.read(range, usize::MAX, usize::MAX).await
    }

    /// What one append to a follower carries.
    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError<NodeId>> {
        let range = (Bound::Included(start), Bound::Excluded(end));
        self.read(range, METADATA_APPEND_ENTRIES, METADATA_APPEND_BYTES).await
    }
}

impl RaftLogStorage<Config> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Config>, StorageError<NodeId>> {
        let state = self.on_disk(|log| Ok((log.purged()?, log.last()?))).await;
        let (purged, last) = state.map_err(StorageIOError::read_logs)?;
        let damaged = |error| StorageIOError::read_logs(AnyError::new(&error));
        let purged = purged.map(|mark| codec::decode_log_id(&mark)).transpose().map_err(damaged)?;
        let last = last.map(|(_, entry)| codec::decode_entry(entry)).transpose();
        let last = last.map_err(damaged)?.map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError<NodeId>> {
        let vote = codec::encode_vote(vote);
        let saved = self.on_disk(move |log| log.save_vote(&vote)).await;
        Ok(saved.map_err(StorageIOError::write_vote)?)
    }

    /// openraft makes who led when it stopped the leader again, without an election. What it committed
    /// since its newest snapshot it does not know then, and would confirm reads that lack it. So this
    /// node's own vote comes back as one that no majority answered: it stands for election. A lone voter
    /// has committed all that lies in its log, and leads on without a new entry: a start that is refused
    /// afterwards leaves the log as it was.
    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError<NodeId>> {
        let vote = self.on_disk(Log::vote).await.map_err(StorageIOError::read_vote)?;
        let vote = vote.map(|bytes| codec::decode_vote(&bytes)).transpose();
        let vote = vote.map_err(|error| StorageIOError::read_vote(AnyError::new(&error)))?;
        Ok(vote.map(|vote| Vote {
            committed: vote.committed && (self.is_alone || vote.leader_id.node_id != self.me),
            ..vote
        }))
    }

    /// The callback goes out after the sync. Waiting for it here costs nothing: openraft does not
    /// append again before it came.
    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Config>,
    ) -> Result<(), StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encode = |entry: Entry| {
            if let EntryPayload::Normal(proposal) = &entry.payload {
                proposal.note_appended();
            }
            (entry.log_id.index, codec::encode_entry(&entry))
        };
        let entries: Vec<_> = entries.into_iter().map(encode).collect();
        match self.on_disk(move |log| log.append(&entries)).await {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => Err(StorageIOError::write_logs(error).into()),
        }
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError<NodeId>> {
        let truncated = self.on_disk(move |log| log.truncate(log_id.index)).await;
        Ok(truncated.map_err(StorageIOError::write_logs)?)
    }

    /// openraft has a snapshot that came from the leader installed and the log before it purged at the
    /// same time: a power cut between the two must find one or the other. What is appended after the
    /// snapshot waits as well, since nothing may be answered for before.
    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError<NodeId>> {
        if !self.installs.covers(log_id.index).await {
            let error = AnyError::error("the snapshot before which the log goes was not written");
            return Err(StorageIOError::write_logs(error).into());
        }
        let mark = codec::encode_log_id(log_id);
        let purged = self.on_disk(move |log| log.purge(log_id.index, &mark)).await;
        Ok(purged.map_err(StorageIOError::write_logs)?)
    }
}
