//! The runtime with the smallest machine: counters by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odradek_common::clock::ManualClock;
use odradek_common::limits;

use super::memory::MemoryLog;
use super::*;

const WITHIN: Duration = Duration::from_secs(5);

enum Ask {
    Add(&'static str, i64),
    Read(&'static str),
    Peek(&'static str),
    After(u64),
    Panic,
    Large(usize),
}

#[derive(Default)]
struct Counters {
    values: BTreeMap<Bytes, i64>,
    parked: Timers<Token>,
}

impl Counters {
    fn record(&self, key: &Bytes) -> CoordinatorRecord {
        let value = self.values.get(key).map(|v| Bytes::copy_from_slice(&v.to_be_bytes()));
        CoordinatorRecord { key: key.clone(), value }
    }
}

impl StateMachine for Counters {
    type Request = Ask;
    type Answer = i64;
    type Cursor = Bytes;

    fn replay(&mut self, record: StoredRecord) -> Result<(), ReplayError> {
        let value = record.value.ok_or_else(|| ReplayError("no tombstones here".into()))?;
        let value = value[..8].try_into().map_err(|_| ReplayError("8 bytes".into()))?;
        self.values.insert(record.key, i64::from_be_bytes(value));
        Ok(())
    }

    fn loaded(&mut self, _now: Now) -> Effects<i64> {
        Effects::default()
    }

    fn handle(&mut self, now: Now, token: Token, request: Ask) -> Effects<i64> {
        let mut effects = Effects::default();
        let read = |key: &'static str| self.values.get(key.as_bytes()).copied().unwrap_or(0);
        match request {
            Ask::Add(key, by) => {
                let value = read(key) + by;
                let key = Bytes::from_static(key.as_bytes());
                self.values.insert(key.clone(), value);
                effects.records.push(self.record(&key));
                effects.answers.push((token, value, When::Durable));
            }
            Ask::Read(key) => effects.answers.push((token, read(key), When::Confirmed)),
            Ask::Peek(key) => effects.answers.push((token, read(key), When::Now)),
            Ask::After(ms) => self.parked.schedule(token, now.mono_ms + ms),
            Ask::Panic => panic!("on purpose"),
            Ask::Large(bytes) => {
                let mut value = vec![0; bytes];
                value[..8].copy_from_slice(&7i64.to_be_bytes());
                let record = CoordinatorRecord { key: "large".into(), value: Some(value.into()) };
                effects.records = vec![record; 3];
                effects.answers.push((token, 0, When::Durable));
            }
        }
        effects
    }

    fn may_write(request: &Ask) -> bool {
        matches!(request, Ask::Add(..) | Ask::Large(_))
    }

    fn tick(&mut self, now: Now) -> Effects<i64> {
        let due = self.parked.take_due(now.mono_ms);
        let ms = i64::try_from(now.mono_ms).unwrap();
        Effects {
            records: vec![],
            answers: due.into_iter().map(|t| (t, ms, When::Durable)).collect(),
        }
    }

    fn next_deadline_ms(&self) -> Option<u64> {
        self.parked.next_ms()
    }

    fn live_bytes(&self) -> u64 {
        self.values.keys().map(|k| k.len() as u64 + 8).sum()
    }

    fn rewrite(&self, after: Option<Bytes>, _: usize) -> (Vec<CoordinatorRecord>, Option<Bytes>) {
        let next = self.values.keys().find(|k| after.as_ref().is_none_or(|a| *k > a)).cloned();
        let records = next.iter().map(|k| self.record(k)).collect();
        let more = next.as_ref() != self.values.keys().next_back();
        (records, next.filter(|_| more))
    }

    fn answer_bytes(_: &i64) -> usize {
        8
    }
}

fn start(log: &MemoryLog) -> Shard<Counters> {
    let clock = Arc::new(ManualClock::at(1_000));
    let (shard, task) =
        Shard::new("counters".into(), Arc::new(log.clone()), clock, Counters::default);
    tokio::spawn(task);
    shard
}

async fn ask(shard: &Shard<Counters>, ask: Ask) -> Pending<i64> {
    shard.call(ask, WITHIN).await
}

/// Asks until the load is over.
async fn ready(log: &MemoryLog) -> Shard<Counters> {
    let shard = start(log);
    while ask(&shard, Ask::Peek("")).await.await == Err(Unavailable::Loading) {}
    shard
}

fn not_yet<A>(pending: &mut Pending<A>) -> bool {
    futures::FutureExt::now_or_never(pending).is_none()
}

/// Lets everything run that can without time passing.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_pipeline_and_answers_wait_for_durability() {
    let log = MemoryLog::new(false);
    let shard = ready(&log).await;
    let mut first = ask(&shard, Ask::Add("a", 1)).await;
    settle().await;
    let mut second = ask(&shard, Ask::Add("a", 2)).await;
    assert_eq!(ask(&shard, Ask::Peek("a")).await.await, Ok(3), "the state moves on at once");
    settle().await;
    assert!(not_yet(&mut first) && not_yet(&mut second));
    log.land(1);
    assert_eq!(first.await, Ok(1));
    settle().await;
    assert!(not_yet(&mut second));
    log.land(2);
    assert_eq!(second.await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn calls_that_come_together_share_a_batch() {
    let log = MemoryLog::new(true);
    let shard = ready(&log).await;
    let asks: Vec<_> =
        futures::future::join_all((0..10).map(|_| ask(&shard, Ask::Add("a", 1)))).await;
    let answers = futures::future::join_all(asks).await;
    assert_eq!(answers, (1..=10).map(Ok).collect::<Vec<_>>());
    assert!(log.batches() < 5, "{} batches", log.batches());
}

#[tokio::test(start_paused = true)]
async fn a_fence_discards_everything_and_answers_all() {
    let log = MemoryLog::new(false);
    let shard = ready(&log).await;
    let add = ask(&shard, Ask::Add("a", 1)).await;
    let parked = ask(&shard, Ask::After(1_000_000)).await;
    let read = ask(&shard, Ask::Read("a")).await;
    settle().await;
    log.fence();
    for pending in [add, parked, read] {
        assert_eq!(pending.await, Err(Unavailable::NotCoordinator));
    }
    assert_eq!(ask(&shard, Ask::Peek("a")).await.await, Err(Unavailable::NotCoordinator));
    assert_eq!(ask(&ready(&log.after_crash()).await, Ask::Peek("a")).await.await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_all() {
    let log = MemoryLog::new(false);
    let shard = ready(&log).await;
    let add = ask(&shard, Ask::Add("a", 1)).await;
    let parked = ask(&shard, Ask::After(1_000_000)).await;
    shard.stop();
    assert_eq!(add.await, Err(Unavailable::NotCoordinator));
    assert_eq!(parked.await, Err(Unavailable::NotCoordinator));
    assert_eq!(ask(&shard, Ask::Peek("a")).await.await, Err(Unavailable::NotCoordinator));
}

#[tokio::test(start_paused = true)]
async fn reads_wait_for_durability_and_for_a_confirmation_of_their_own() {
    let log = MemoryLog::new(false);
    let shard = ready(&log).await;
    log.set_confirms(false);
    let _add = ask(&shard, Ask::Add("a", 1)).await;
    let mut read = ask(&shard, Ask::Read("a")).await;
    settle().await;
    log.land(1);
    settle().await;
    assert!(not_yet(&mut read), "durable, not confirmed");
    let late = ask(&shard, Ask::Read("a")).await;
    settle().await;
    assert_eq!(log.confirmations(), 1, "the late one waits for the next round");
    log.set_confirms(true);
    assert_eq!(read.await, Ok(1));
    assert_eq!(late.await, Ok(1));
    assert_eq!(log.confirmations(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_load_answers_loading_and_retries() {
    let log = MemoryLog::new(true);
    let before = ready(&log).await;
    for _ in 0..20 {
        ask(&before, Ask::Add("a", 1)).await.await.unwrap();
    }
    drop(before);
    log.set_fails_reads(true);
    let shard = start(&log);
    assert_eq!(ask(&shard, Ask::Peek("a")).await.await, Err(Unavailable::Loading));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(ask(&shard, Ask::Peek("a")).await.await, Err(Unavailable::Loading));
    log.set_fails_reads(false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(ask(&shard, Ask::Peek("a")).await.await, Ok(20));
}

#[tokio::test(start_paused = true)]
async fn a_failure_or_a_panic_loads_anew_from_the_log() {
    let log = MemoryLog::new(true);
    let shard = ready(&log).await;
    ask(&shard, Ask::Add("a", 1)).await.await.unwrap();
    log.set_fails_appends(true);
    assert_eq!(ask(&shard, Ask::Add("a", 1)).await.await, Err(Unavailable::NotCoordinator));
    log.set_fails_appends(false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ask(&shard, Ask::Peek("a")).await.await, Ok(1), "the failed step left nothing");
    assert_eq!(ask(&shard, Ask::Panic).await.await, Err(Unavailable::NotCoordinator));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ask(&shard, Ask::Add("a", 1)).await.await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn ticks_come_at_their_deadline() {
    let log = MemoryLog::new(true);
    let shard = ready(&log).await;
    let began = tokio::time::Instant::now();
    let late = ask(&shard, Ask::After(500)).await;
    let early = ask(&shard, Ask::After(30)).await;
    early.await.unwrap();
    assert_eq!(began.elapsed().as_millis(), 30);
    late.await.unwrap();
    assert_eq!(began.elapsed().as_millis(), 500);
}

#[tokio::test(start_paused = true)]
async fn large_effects_go_in_several_batches() {
    let log = MemoryLog::new(true);
    let shard = ready(&log).await;
    ask(&shard, Ask::Large(limits::COORDINATOR_BATCH_BYTES)).await.await.unwrap();
    assert_eq!(log.batches(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_outgrew_its_state_is_written_anew() {
    let log = MemoryLog::new(true);
    let shard = ready(&log).await;
    for key in ["a", "b", "c"] {
        ask(&shard, Ask::Add(key, 1)).await.await.unwrap();
    }
    let filler = usize::try_from(limits::COORDINATOR_REWRITE_FLOOR_BYTES).unwrap() / 3;
    log.set_lands(false);
    let large = ask(&shard, Ask::Large(filler)).await;
    settle().await;
    let filled = log.end().0;
    assert_eq!(filled, 7, "the first step is appended, the next waits until it is durable");
    let changed = ask(&shard, Ask::Add("c", 1)).await;
    settle().await;
    assert_eq!(log.start(), 0);
    log.set_lands(true);
    large.await.unwrap();
    changed.await.unwrap();
    settle().await;
    assert_eq!(log.start(), 6, "all that counts lies behind the place where it began");
    let again = ready(&log.after_crash()).await;
    for (key, value) in [("a", 1), ("b", 1), ("c", 2)] {
        assert_eq!(ask(&again, Ask::Peek(key)).await.await, Ok(value));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_shard_takes_no_calls_and_says_so() {
    let log = MemoryLog::new(false);
    let shard = ready(&log).await;
    let mut asked = Vec::new();
    let room = limits::COORDINATOR_WAITING_ANSWERS
        + limits::COORDINATOR_DRAIN_CALLS
        + limits::COORDINATOR_MAILBOX_CALLS;
    loop {
        let mut pending = ask(&shard, Ask::Add("a", 1)).await;
        if futures::FutureExt::now_or_never(&mut pending) == Some(Err(Unavailable::Busy)) {
            break;
        }
        asked.push(pending);
        assert!(asked.len() <= room);
    }
    log.set_lands(true);
    for (pending, value) in asked.into_iter().zip(1..) {
        assert_eq!(pending.await, Ok(value));
    }
    assert!(ask(&shard, Ask::Add("a", 1)).await.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn callers_that_gave_up_make_room() {
    let log = MemoryLog::new(true);
    let shard = ready(&log).await;
    log.set_confirms(false);
    let mut given_up = Vec::new();
    for _ in 0..limits::COORDINATOR_WAITING_ANSWERS + limits::COORDINATOR_MAILBOX_CALLS {
        given_up.push(ask(&shard, Ask::Read("a")).await);
    }
    let mut last = ask(&shard, Ask::Peek("a")).await;
    settle().await;
    assert!(not_yet(&mut last), "the shard is full");
    drop(given_up);
    assert_eq!(last.await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_land_takes_only_so_much() {
    let log = MemoryLog::new(false);
    let shard = ready(&log).await;
    let step = limits::COORDINATOR_BATCH_BYTES;
    let mut large = Vec::new();
    loop {
        let mut pending = ask(&shard, Ask::Large(step)).await;
        settle().await;
        if futures::FutureExt::now_or_never(&mut pending) == Some(Err(Unavailable::Busy)) {
            break;
        }
        large.push(pending);
        assert!(large.len() * 3 * step <= limits::COORDINATOR_UNLANDED_BYTES + 3 * step);
    }
    assert_eq!(ask(&shard, Ask::Peek("a")).await.await, Ok(0), "what writes nothing is served");
    log.set_lands(true);
    futures::future::join_all(large).await;
    assert_eq!(ask(&shard, Ask::Add("a", 1)).await.await, Ok(1));
}
