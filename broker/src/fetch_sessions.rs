//! Fetch sessions (KIP-227): the broker remembers what a client fetches, the client sends only what
//! changed, the answer holds only what changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use odradek_common::ids::{TopicId, TopicPartition};
use odradek_common::limits::{FETCH_SESSION_PARTITIONS, FETCH_SESSIONS_PARTITIONS};
use odradek_common::random::SharedRandom;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The epoch of a request that opens a session, or is full.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants no session, and closes the one it names.
const FINAL_EPOCH: i32 = -1;
/// A session in use is not evicted before this.
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// A partition that a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The topic's id; nil where the client names topics and there is none of that name.
    pub id: TopicPartition,
    /// The topic's name; empty where the client gives ids and there is no such topic.
    pub topic: Arc<str>,
    /// True if the client gives the topic's id, false if it gives the name.
    pub by_id: bool,
    /// Offset of the first record wanted.
    pub fetch_offset: i64,
    /// Most bytes wanted of this partition.
    pub max_bytes: i32,
    /// The leader epoch that the client knows, -1 for none.
    pub current_leader_epoch: i32,
    /// The leader epoch of the last record that the client has, -1 if it does not say.
    pub last_fetched_epoch: i32,
}

/// Names a partition as the client does, with the topic's id or its name alone: topics come and go, and
/// which name goes with an id, or which id with a name, changes while a session names the one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// By the topic's id.
    Id(TopicId, i32),
    /// By the topic's name.
    Name(Arc<str>, i32),
}

impl Wanted {
    fn key(&self) -> Key {
        match self.by_id {
            true => Key::Id(self.id.topic, self.id.partition),
            false => Key::Name(self.topic.clone(), self.id.partition),
        }
    }
}

/// What of a partition was last told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The error code.
    pub error: i16,
    /// The high watermark.
    pub high_watermark: i64,
    /// The log start.
    pub log_start: i64,
    /// True if the answer holds records.
    pub has_records: bool,
    /// True if the answer says where the log parted from the client's.
    pub parted: bool,
}

#[derive(Debug)]
struct Remembered {
    wanted: Wanted,
    told: Option<Told>,
}

/// Bytes that a partition takes in a session: its entry and its place in the index.
const PARTITION_BYTES: usize = size_of::<(u64, Key, Remembered)>() + size_of::<usize>();

#[derive(Debug)]
struct Session {
    /// The epoch that the next request must name.
    next_epoch: i32,
    uses_topic_ids: bool,
    partitions: IndexMap<Key, Remembered>,
    last_used: Instant,
}

/// What a fetch is to read, and how to answer it.
#[derive(Debug)]
pub struct Begun {
    /// Session id to answer; 0 for none.
    pub session_id: i32,
    /// The partitions to read, in the order in which they are due; those of a session as they were
    /// known when it first named them.
    pub wanted: Vec<Wanted>,
    /// True if only what changed is answered.
    pub incremental: bool,
}

/// A request's part that concerns sessions.
#[derive(Debug)]
pub struct SessionRequest {
    /// The session named, 0 for none.
    pub session_id: i32,
    /// The epoch named.
    pub epoch: i32,
    /// True from version 13 on.
    pub uses_topic_ids: bool,
    /// Partitions wanted, added or changed.
    pub wanted: Vec<Wanted>,
    /// Partitions that leave the session.
    pub forgotten: Vec<Key>,
}

/// All fetch sessions of the broker.
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    random: SharedRandom,
    by_id: Mutex<HashMap<i32, Session>>,
}

impl FetchSessions {
    /// Room for `slots` sessions (`max.incremental.fetch.session.cache.slots`).
    #[must_use]
    pub fn new(slots: usize, random: SharedRandom) -> Self {
        Self { slots, random, by_id: Mutex::default() }
    }

    /// Number of sessions open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.lock().len()
    }

    /// True if no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the partitions of all sessions take, roughly.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        partitions(&self.by_id.lock()) * PARTITION_BYTES
    }

    /// The most that they may take.
    #[must_use]
    pub fn memory_bytes_max(&self) -> usize {
        FETCH_SESSIONS_PARTITIONS * PARTITION_BYTES
    }

    /// Finds out what a fetch is to read.
    ///
    /// # Errors
    /// `FetchSessionIdNotFound`, `InvalidFetchSessionEpoch`, `FetchSessionTopicIdError`: the client
    /// starts anew with a full request.
    pub fn begin(&self, request: SessionRequest) -> Result<Begun, ResponseError> {
        let mut by_id = self.by_id.lock();
        let mut room = FETCH_SESSIONS_PARTITIONS.saturating_sub(partitions(&by_id));
        if request.epoch == FINAL_EPOCH || request.epoch == INITIAL_EPOCH {
            by_id.remove(&request.session_id);
            let opened =
                if request.epoch == INITIAL_EPOCH { self.open(&mut by_id, &request) } else { 0 };
            return Ok(Begun { session_id: opened, wanted: request.wanted, incremental: false });
        }
        let session =
            by_id.get_mut(&request.session_id).ok_or(ResponseError::FetchSessionIdNotFound)?;
        if session.next_epoch != request.epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != request.uses_topic_ids {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        session.next_epoch =
            if session.next_epoch == i32::MAX { 1 } else { session.next_epoch + 1 };
        session.last_used = Instant::now();
        // In one pass: to take out one at a time would move the others each time.
        if !request.forgotten.is_empty() {
            let forgotten: HashSet<&Key> = request.forgotten.iter().collect();
            session.partitions.retain(|key, _| !forgotten.contains(key));
        }
        for wanted in request.wanted {
            let key = wanted.key();
            if let Some(known) = session.partitions.get_mut(&key) {
                known.wanted = wanted;
            } else if session.partitions.len() < FETCH_SESSION_PARTITIONS && room > 0 {
                session.partitions.insert(key, Remembered { wanted, told: None });
                room -= 1;
            } else {
                return Err(ResponseError::FetchSessionIdNotFound);
            }
        }
        let wanted = session.partitions.values().map(|r| r.wanted.clone()).collect();
        Ok(Begun { session_id: request.session_id, wanted, incremental: true })
    }

    /// Keeps what is about to be told to the client; for each partition of `told`, in the order of
    /// `begun.wanted`, whether it belongs into the answer. Partitions with records go to the end
    /// of the line, so that each gets its turn.
    pub fn finish(&self, begun: &Begun, told: &[Told]) -> Vec<bool> {
        let mut by_id = self.by_id.lock();
        let Some(session) = by_id.get_mut(&begun.session_id) else {
            return vec![true; told.len()];
        };
        let mut answered = Vec::with_capacity(told.len());
        let mut served = HashSet::new();
        for (wanted, now) in begun.wanted.iter().zip(told) {
            let key = wanted.key();
            let Some(known) = session.partitions.get_mut(&key) else {
                answered.push(true);
                continue;
            };
            let changed = known.told.is_none_or(|before| {
                before.high_watermark != now.high_watermark || before.log_start != now.log_start
            });
            let news = changed || now.has_records || now.parted || now.error != 0;
            answered.push(!begun.incremental || news);
            // An error is told again until it is gone: the state then counts as unknown.
            known.told = (now.error == 0).then_some(*now);
            if now.has_records {
                served.insert(key);
            }
        }
        if !served.is_empty() {
            // Stable: within those served and the others the order stays.
            session.partitions.sort_by_cached_key(|key, _| served.contains(key));
        }
        answered
    }

    fn open(&self, by_id: &mut HashMap<i32, Session>, request: &SessionRequest) -> i32 {
        if request.wanted.is_empty() || request.wanted.len() > FETCH_SESSION_PARTITIONS {
            return 0;
        }
        let now = Instant::now();
        if by_id.len() >= self.slots && !evict_one(by_id, now) {
            return 0;
        }
        if partitions(by_id) + request.wanted.len() > FETCH_SESSIONS_PARTITIONS {
            return 0;
        }
        let id = loop {
            let id = i32::try_from(self.random.next_u64() & 0x7fff_ffff).unwrap_or(0);
            if id != 0 && !by_id.contains_key(&id) {
                break id;
            }
        };
        let remembered = |w: &Wanted| (w.key(), Remembered { wanted: w.clone(), told: None });
        let session = Session {
            next_epoch: 1,
            uses_topic_ids: request.uses_topic_ids,
            partitions: request.wanted.iter().map(remembered).collect(),
            last_used: now,
        };
        by_id.insert(id, session);
        id
    }
}

/// Partitions that all sessions hold together.
fn partitions(by_id: &HashMap<i32, Session>) -> usize {
    by_id.values().map(|session| session.partitions.len()).sum()
}

/// Makes room by closing the session that was used least recently, if it is idle long enough.
fn evict_one(by_id: &mut HashMap<i32, Session>, now: Instant) -> bool {
    let oldest = by_id.iter().min_by_key(|(_, s)| s.last_used).map(|(id, s)| (*id, s.last_used));
    match oldest {
        Some((id, last_used)) if now.duration_since(last_used) >= EVICTABLE_AFTER => {
            by_id.remove(&id);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odradek_common::random::SeededRandom;

    fn wanted(partition: i32, fetch_offset: i64) -> Wanted {
        let id = TopicPartition { topic: TopicId::NIL, partition };
        let topic = Arc::from("t");
        let (current_leader_epoch, last_fetched_epoch) = (-1, -1);
        Wanted {
            id,
            topic,
            by_id: false,
            fetch_offset,
            max_bytes: 100,
            current_leader_epoch,
            last_fetched_epoch,
        }
    }

    fn request(session_id: i32, epoch: i32, wanted: Vec<Wanted>) -> SessionRequest {
        SessionRequest { session_id, epoch, uses_topic_ids: false, wanted, forgotten: Vec::new() }
    }

    fn told(high_watermark: i64, has_records: bool) -> Told {
        Told { error: 0, high_watermark, log_start: 0, has_records, parted: false }
    }

    fn sessions(slots: usize) -> FetchSessions {
        FetchSessions::new(slots, Arc::new(SeededRandom::from_seed(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn an_incremental_answer_holds_what_changed() {
        let sessions = sessions(10);
        let full = sessions.begin(request(0, 0, vec![wanted(0, 0), wanted(1, 0)])).unwrap();
        assert!(full.session_id != 0 && !full.incremental);
        assert_eq!(sessions.finish(&full, &[told(1, true), told(0, false)]), [true, true]);

        let next = sessions.begin(request(full.session_id, 1, vec![wanted(0, 1)])).unwrap();
        let order: Vec<_> = next.wanted.iter().map(|w| (w.id.partition, w.fetch_offset)).collect();
        assert_eq!(order, [(1, 0), (0, 1)], "who had records goes to the end of the line");
        assert_eq!(sessions.finish(&next, &[told(0, false), told(2, false)]), [false, true]);
        let next = sessions.begin(request(full.session_id, 2, vec![])).unwrap();
        let parted = Told { parted: true, ..told(0, false) };
        assert_eq!(sessions.finish(&next, &[parted, told(2, false)]), [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_epochs_and_sessions_are_refused() {
        let sessions = sessions(10);
        let id = sessions.begin(request(0, 0, vec![wanted(0, 0)])).unwrap().session_id;
        let refused = |r| sessions.begin(r).err();
        assert_eq!(refused(request(id, 2, vec![])), Some(ResponseError::InvalidFetchSessionEpoch));
        assert_eq!(
            refused(request(id ^ 1, 1, vec![])),
            Some(ResponseError::FetchSessionIdNotFound)
        );
        let ids = SessionRequest { uses_topic_ids: true, ..request(id, 1, vec![]) };
        assert_eq!(refused(ids), Some(ResponseError::FetchSessionTopicIdError));
        sessions.begin(request(id, -1, vec![])).unwrap();
        assert!(sessions.is_empty(), "the final epoch closes the session");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_cache_gives_no_session_until_one_is_idle() {
        let sessions = sessions(1);
        assert_ne!(sessions.begin(request(0, 0, vec![wanted(0, 0)])).unwrap().session_id, 0);
        assert_eq!(sessions.begin(request(0, 0, vec![wanted(0, 0)])).unwrap().session_id, 0);
        tokio::time::advance(EVICTABLE_AFTER).await;
        assert_ne!(sessions.begin(request(0, 0, vec![wanted(0, 0)])).unwrap().session_id, 0);
        assert_eq!(sessions.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_sessions_together_hold_only_so_many_partitions() {
        const EACH: i32 = 100_000;
        let sessions = sessions(1_000);
        let many = || (1..=EACH).map(|partition| wanted(partition, 0)).collect::<Vec<_>>();
        let first = sessions.begin(request(0, 0, vec![wanted(0, 0)])).unwrap().session_id;
        // Another's, so that what the first may hold is more than there is room for.
        sessions.begin(request(0, 0, vec![wanted(0, 0)])).unwrap();
        let mut opened = 0;
        while sessions.begin(request(0, 0, many())).unwrap().session_id != 0 {
            opened += 1;
        }
        assert_eq!(opened, (FETCH_SESSIONS_PARTITIONS - 2) / 100_000);
        let full = sessions.begin(request(first, 1, many()));
        assert_eq!(full.err(), Some(ResponseError::FetchSessionIdNotFound));
    }

    #[tokio::test(start_paused = true)]
    async fn those_served_go_behind_the_others_in_their_order() {
        let sessions = sessions(1);
        let all = (0..5).map(|partition| wanted(partition, 0)).collect();
        let begun = sessions.begin(request(0, 0, all)).unwrap();
        let told: Vec<_> = (0..5).map(|partition| told(1, partition % 2 == 0)).collect();
        sessions.finish(&begun, &told);
        let next = sessions.begin(request(begun.session_id, 1, vec![])).unwrap();
        let order: Vec<_> = next.wanted.iter().map(|w| w.id.partition).collect();
        assert_eq!(order, [1, 3, 0, 2, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn forgotten_partitions_leave() {
        let sessions = sessions(1);
        let id =
            sessions.begin(request(0, 0, vec![wanted(0, 0), wanted(1, 0)])).unwrap().session_id;
        let forget =
            SessionRequest { forgotten: vec![wanted(0, 0).key()], ..request(id, 1, vec![]) };
        assert_eq!(sessions.begin(forget).unwrap().wanted, [wanted(1, 0)]);
    }

    /// The other of id and name is another once the topic is deleted, or made again.
    #[tokio::test(start_paused = true)]
    async fn a_partition_is_known_by_what_the_client_calls_it() {
        let sessions = sessions(2);
        let other = TopicPartition { topic: TopicId(uuid::Uuid::from_u128(7)), partition: 0 };
        let by_name = [wanted(0, 0), Wanted { id: other, ..wanted(0, 5) }];
        let id = TopicId(uuid::Uuid::from_u128(8));
        let of_id = |topic: &str, fetch_offset| Wanted {
            id: TopicPartition { topic: id, partition: 0 },
            topic: topic.into(),
            by_id: true,
            ..wanted(0, fetch_offset)
        };
        for (before, after) in [by_name.into(), (of_id("t", 0), of_id("", 5))] {
            let with = |session, epoch, wanted| SessionRequest {
                uses_topic_ids: before.by_id,
                ..request(session, epoch, wanted)
            };
            let opened = sessions.begin(with(0, 0, vec![before.clone()])).unwrap().session_id;
            let next = sessions.begin(with(opened, 1, vec![after.clone()])).unwrap();
            assert_eq!(next.wanted, std::slice::from_ref(&after));
            let forget =
                SessionRequest { forgotten: vec![before.key()], ..with(opened, 2, vec![]) };
            assert_eq!(sessions.begin(forget).unwrap().wanted, []);
        }
    }
}
