use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::net::{Listener, Network};
use crate::random::SeededRandom;

const LONG: Duration = Duration::from_secs(3600);

fn network() -> (SimNetwork, SimHost, SimHost) {
    let network = SimNetwork::new(Arc::new(SeededRandom::from_seed(1)), 1..=5);
    let (one, two) = (network.host("one"), network.host("two"));
    (network, one, two)
}

async fn connected(one: &SimHost, two: &SimHost) -> (Connection, Connection, Box<dyn Listener>) {
    let listener = two.listen("", 9092).await.unwrap().pop().unwrap();
    let (to, from) = tokio::join!(one.connect("two", 9092), listener.accept());
    (to.unwrap(), from.unwrap(), listener)
}

async fn read(connection: &mut Connection, count: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    connection.reader.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_after_the_latency() {
    let (_, one, two) = network();
    let (mut to, mut from, _listener) = connected(&one, &two).await;
    assert_eq!(
        (from.peer.ip().to_string(), to.peer.to_string()),
        ("10.0.0.1".to_owned(), "10.0.0.2:9092".to_owned())
    );
    let begun = Instant::now();
    for number in 0..100 {
        to.writer.write_all(&[number]).await.unwrap();
    }
    assert_eq!(read(&mut from, 100).await.unwrap(), (0..100).collect::<Vec<u8>>());
    let took = begun.elapsed();
    assert!((1..=5).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_holds_one_direction_until_it_is_mended() {
    let (network, one, two) = network();
    let (mut to, mut from, _listener) = connected(&one, &two).await;
    network.cut("one", "two");
    to.writer.write_all(b"held").await.unwrap();
    from.writer.write_all(b"goes").await.unwrap();
    assert_eq!(read(&mut to, 4).await.unwrap(), b"goes");
    assert!(timeout(LONG, read(&mut from, 4)).await.is_err());
    assert!(timeout(LONG, one.connect("two", 9092)).await.is_err());
    let waiting = tokio::spawn(async move { read(&mut from, 4).await.unwrap() });
    tokio::task::yield_now().await;
    network.mend("one", "two");
    assert_eq!(waiting.await.unwrap(), b"held");
}

#[tokio::test(start_paused = true)]
async fn who_closes_is_noticed_and_nothing_more_is_taken() {
    let (_, one, two) = network();
    let (mut to, mut from, listener) = connected(&one, &two).await;
    to.writer.write_all(b"last").await.unwrap();
    drop(to);
    assert!(!from.reader.is_peer_gone());
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(from.reader.is_peer_gone());
    assert_eq!(read(&mut from, 4).await.unwrap(), b"last");
    assert_eq!(from.reader.read(&mut [0]).await.unwrap(), 0);
    assert!(from.writer.write_all(b"more").await.is_err());
    drop(listener);
    let refused = one.connect("two", 9092).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn who_loses_power_says_nothing() {
    let (network, one, two) = network();
    let (mut to, from, listener) = connected(&one, &two).await;
    network.power_off("two");
    drop((from, listener));
    to.writer.write_all(b"lost").await.unwrap();
    assert!(timeout(LONG, read(&mut to, 1)).await.is_err());
    network.power_on("two");
    assert!(to.writer.write_all(b"reset").await.is_err());
    assert!(read(&mut to, 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reset_breaks_both_directions() {
    let (network, one, two) = network();
    let (mut to, mut from, _listener) = connected(&one, &two).await;
    let waiting = tokio::spawn(async move { read(&mut from, 1).await.is_err() });
    tokio::task::yield_now().await;
    assert_eq!(network.reset("two", "one"), 1);
    assert!(waiting.await.unwrap());
    assert!(to.writer.write_all(b"x").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_stops_who_writes() {
    let (_, one, two) = network();
    let (mut to, mut from, _listener) = connected(&one, &two).await;
    let much = vec![7; 3 << 20];
    assert!(timeout(LONG, to.writer.write_all(&much)).await.is_err());
    let written = tokio::spawn(async move { to.writer.write_all(&[8; 1 << 20]).await.is_ok() });
    assert_eq!(read(&mut from, 1 << 20).await.unwrap(), vec![7; 1 << 20]);
    assert_eq!(read(&mut from, 1 << 20).await.unwrap(), vec![8; 1 << 20]);
    assert!(written.await.unwrap());
}
