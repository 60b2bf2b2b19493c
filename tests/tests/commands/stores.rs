//! `odradek check-store`, and a start, on what is fit and what is not.

use std::path::Path;

use anyhow::{Result, ensure};
use odradek_tests::minio::Minio;
use odradek_tests::place::Place;
use tempfile::TempDir;

use crate::odradek::{refused, run};

/// The properties that the full form proves.
const PROPERTIES: [&str; 10] = [
    "reachable",
    "put-if-absent",
    "put where one is",
    "read after write",
    "list after write",
    "ranged reads",
    "past the end",
    "missing object",
    "delete",
    "multipart",
];
/// Rows of latencies: three operations in four sizes.
const LATENCIES: usize = 12;

/// The store of the embedded default, and one that is named.
pub async fn a_directory_passes() -> Result<String> {
    let folder = TempDir::new()?;
    let by_default = run(folder.path(), &["check-store"]).await?;
    passed(&by_default)?;
    let named = format!("storage.url=file://{}", folder.path().join("objects").display());
    let printed = run(folder.path(), &["check-store", "--set", &named]).await?;
    passed(&printed)?;
    Ok(put_latency(&printed))
}

/// A real MinIO.
pub async fn minio_passes() -> Result<String> {
    let minio = Minio::start().await?;
    is_proved(&minio.place("checked")).await
}

/// `check-store` finds nothing wrong with a place; what an operator looks at first.
pub async fn is_proved(place: &Place) -> Result<String> {
    let folder = TempDir::new()?;
    let printed = on(folder.path(), "check-store", place, run).await?;
    passed(&printed)?;
    Ok(put_latency(&printed))
}

/// A bucket that does not exist, a secret that is wrong, a key that nobody has.
pub async fn what_is_wrong_is_said() -> Result<String> {
    let (minio, folder) = (Minio::start().await?, TempDir::new()?);
    let place = minio.place("checked");
    let wrong = [
        ("storage.url", "s3://no-such-bucket/x", "the bucket (or container) does not exist"),
        ("storage.secret.access.key", "wrong", "the secret key does not fit the access key"),
        ("storage.access.key.id", "nobody", "the store does not know the access key"),
    ];
    for (key, value, reason) in wrong {
        let place = with(&place, key, value);
        let told = on(folder.path(), "check-store", &place, refused).await?;
        unfit(&told, reason)?;
        let told = on(folder.path(), "start", &place, refused).await?;
        not_started(&told, reason)?;
    }
    Ok(format!("{} reasons", wrong.len()))
}

/// Runs a command with the settings of a place.
async fn on(
    here: &Path,
    command: &str,
    place: &Place,
    how: impl AsyncFn(&Path, &[&str]) -> Result<String>,
) -> Result<String> {
    let settings = place.0.iter().map(|(key, value)| format!("--set={key}={value}"));
    let words: Vec<String> = std::iter::once(command.to_owned()).chain(settings).collect();
    how(here, &words.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The place with one setting replaced.
fn with(place: &Place, key: &str, value: &str) -> Place {
    let replaced = |(given, old): &(String, String)| {
        let value = if given == key { value } else { old.as_str() };
        (given.clone(), value.to_owned())
    };
    Place(place.0.iter().map(replaced).collect())
}

fn passed(printed: &str) -> Result<()> {
    for property in PROPERTIES {
        let row = format!("  ok       {property:<18} ");
        ensure!(printed.contains(&row), "{property} is not proved:\n{printed}");
    }
    let rows = printed.lines().filter(|line| latency(line).is_some()).count();
    ensure!(rows == LATENCIES, "{rows} rows of latencies:\n{printed}");
    ensure!(printed.ends_with("\n  passed\n"), "{printed}");
    Ok(())
}

/// The report tells a reason, which a person can read, and says what follows.
fn unfit(told: &str, reason: &str) -> Result<()> {
    let row = told.lines().find(|line| line.starts_with("  FAILED   reachable"));
    let is_told = row.is_some_and(|row| row.contains(reason));
    ensure!(is_told, "{reason:?} is not told:\n{told}");
    ensure!(told.contains("\n  this store cannot be used\n"), "{told}");
    Ok(())
}

/// The reason comes first, in one line; then the report.
fn not_started(told: &str, reason: &str) -> Result<()> {
    let first = told.lines().next().unwrap_or_default();
    let is_told = first.starts_with("odradek: s3://") && first.contains(reason);
    ensure!(is_told, "{reason:?} is not what is told first:\n{told}");
    unfit(told, reason)
}

/// The median in a row of the table of latencies.
fn latency(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [operation, .., p50, _] = words[..] else { return None };
    ["put", "get", "delete"].contains(&operation).then_some(p50)
}

/// What an operator looks at first.
fn put_latency(printed: &str) -> String {
    let p50 = printed.lines().find(|line| line.starts_with("  put")).and_then(latency);
    format!("a put of 4 KiB takes {} ms", p50.unwrap_or("?"))
}
