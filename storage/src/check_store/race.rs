//! Races of put-if-absent: several writers, one name, at once. Everything that we acknowledge hangs
//! on there being one winner.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMode};
use odradek_common::limits::CHECK_RACE_PUT_MS;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Bench;
use crate::store::{StoreErrorKind, classify, describe};

/// Writers of one race.
const WRITERS: usize = 8;
/// Rounds without an answer, for each one asked for, after which there is no proof.
const UNKNOWN_FACTOR: usize = 3;

/// What a writer was told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Created,
    Exists,
    /// No answer, or one that says nothing about the object.
    Nothing(String),
    Refused(String),
}

/// Runs `rounds` races and says how they went.
pub(super) async fn races(bench: &Bench<'_>, rounds: usize) -> Result<String, String> {
    let mut proved = 0;
    for round in 0..rounds * UNKNOWN_FACTOR {
        // Small ones and ones that come in several packets.
        let bytes = if round % 2 == 0 { 1 << 10 } else { 64 << 10 };
        if race(bench, &format!("race-{round}"), bytes).await? {
            proved += 1;
        }
        if proved == rounds {
            return Ok(format!(
                "{rounds} races of {WRITERS} writers: one winner each, and it is read"
            ));
        }
    }
    Err(format!(
        "in {} of {} races the store gave no answer",
        rounds * UNKNOWN_FACTOR - proved,
        rounds * UNKNOWN_FACTOR
    ))
}

/// One race; false if it proves nothing.
async fn race(bench: &Bench<'_>, name: &str, bytes: usize) -> Result<bool, String> {
    let path = bench.path(name);
    let payloads: Vec<Bytes> = (0..WRITERS).map(|_| bench.random_bytes(bytes)).collect();
    let told = run(&bench.store.direct(), &path, &payloads).await;
    for one in &told {
        if let Told::Refused(sentence) = one {
            return Err(sentence.clone());
        }
    }
    let winners: Vec<usize> = (0..WRITERS).filter(|i| told[*i] == Told::Created).collect();
    if winners.len() > 1 {
        return Err(format!(
            "put-if-absent is not atomic: {} of {WRITERS} writers were told that they created the \
             same object",
            winners.len()
        ));
    }
    let silent: Vec<usize> =
        (0..WRITERS).filter(|i| matches!(told[*i], Told::Nothing(_))).collect();
    if silent.len() == WRITERS {
        return Ok(false);
    }
    let read = bench.read(&path).await?;
    match (winners.first(), payloads.iter().position(|payload| *payload == read)) {
        (_, None) => Err("after a race the object holds what no writer has written".to_owned()),
        (Some(winner), Some(author)) if author == *winner => Ok(true),
        (Some(_), Some(_)) => {
            Err("after a race the object is not that of the one who was told to have won"
                .to_owned())
        }
        (None, Some(author)) if silent.contains(&author) => Ok(false),
        (None, Some(_)) => {
            Err("no writer was told that it created the object, though one has".to_owned())
        }
    }
}

async fn run(store: &Arc<dyn ObjectStore>, path: &Path, payloads: &[Bytes]) -> Vec<Told> {
    let start = Arc::new(Barrier::new(payloads.len()));
    let mut writers = JoinSet::new();
    for (i, payload) in payloads.iter().enumerate() {
        let (store, path, payload) = (store.clone(), path.clone(), payload.clone());
        let start = start.clone();
        writers.spawn(async move {
            start.wait().await;
            (i, write(&*store, &path, payload).await)
        });
    }
    let mut told = vec![Told::Nothing("the writer did not end".to_owned()); payloads.len()];
    while let Some(ended) = writers.join_next().await {
        if let Ok((i, answer)) = ended {
            told[i] = answer;
        }
    }
    told
}

async fn write(store: &dyn ObjectStore, path: &Path, payload: Bytes) -> Told {
    let limit = Duration::from_millis(CHECK_RACE_PUT_MS);
    match timeout(limit, store.put_opts(path, payload.into(), PutMode::Create.into())).await {
        Ok(Ok(_)) => Told::Created,
        Ok(Err(Error::AlreadyExists { .. })) => Told::Exists,
        Ok(Err(error)) if classify(&error) == StoreErrorKind::Transient => {
            Told::Nothing(describe(&error))
        }
        Ok(Err(error)) => Told::Refused(describe(&error)),
        Err(_) => Told::Nothing("no answer in time".to_owned()),
    }
}
