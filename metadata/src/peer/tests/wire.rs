//! Calls, refusals, and hostile bytes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut, Bytes};
use odradek_common::ids::BrokerId;
use odradek_common::limits::{PEER_CONNECTIONS, PEER_FRAME_BYTES, PEER_HELLO_BYTES};
use odradek_common::net::Connection;
use proptest::prelude::*;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Hub;
use crate::command::Form;
use crate::ids::{DirectoryId, Endpoint, ReplicaKey};
use crate::image::Image;
use crate::peer::messages::{Frame, Greeting, Hello};
use crate::peer::secret::{NONCE_BYTES, Side};
use crate::peer::{
    Answer, Answers, CallError, Introduction, Kind, PeerSecret, PeerServer, Peers, Refusal,
    RefusalCode, Target, hello,
};
use crate::state::State;
use crate::waiting::Waiting;
use crate::wire::encode_entry;

const PORT: u16 = 9093;

fn key(node: i32, directory: u128) -> ReplicaKey {
    let directory = DirectoryId(uuid::Uuid::from_u128(directory));
    ReplicaKey { node: BrokerId(node), directory }
}

fn introduction(me: ReplicaKey, cluster: &str) -> Arc<Introduction> {
    Arc::new(Introduction::new(me, None, images(me, cluster), None, random()))
}

/// Of a node of cluster `c` that has a secret, or none.
fn with_secret(me: ReplicaKey, secret: &str) -> Arc<Introduction> {
    let secret = PeerSecret::new(secret.as_bytes().to_vec());
    Arc::new(Introduction::new(me, None, images(me, "c"), secret, random()))
}

fn random() -> odradek_common::random::SharedRandom {
    Arc::new(odradek_common::random::SeededRandom::from_seed(1))
}

fn images(me: ReplicaKey, cluster: &str) -> watch::Receiver<Arc<Image>> {
    let state = State::new(Arc::new(Waiting::new(&random())));
    if !cluster.is_empty() {
        let form = Form { cluster: cluster.parse().unwrap(), directories: vec![me.directory] };
        let command = crate::wire::encode_command(&crate::Command::Form(form));
        let mut applying = state.begin();
        applying.apply(1, Some(&encode_entry([&command]))).unwrap();
        applying.publish();
    }
    state.subscribe()
}

/// Says who asked, and what.
#[derive(Debug)]
struct Echo;

#[async_trait]
impl Answers for Echo {
    async fn answer(
        &self,
        from: ReplicaKey,
        kind: Kind,
        request: Bytes,
    ) -> Result<Answer, Refusal> {
        match kind {
            Kind::Describe => std::future::pending().await,
            Kind::Vote => Err(Refusal::not_leader(None)),
            _ => Ok(Bytes::from([from.to_string().as_bytes(), b" ", &request].concat()).into()),
        }
    }

    fn left(&self, _: ReplicaKey) {}
}

struct Served {
    hub: Hub,
    server: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Node 2 with directory 22 of cluster `c`.
async fn serve() -> Served {
    serve_as(introduction(key(2, 22), "c")).await
}

async fn serve_as(introduction: Arc<Introduction>) -> Served {
    let hub = Hub::default();
    let listeners = hub.of("two").listen("two", PORT).await.unwrap();
    let server = PeerServer::new(listeners, introduction, Arc::new(Echo));
    Served { hub, server: tokio::spawn(server.run()) }
}

fn target(node: i32, directory: Option<u128>) -> Target {
    let directory = directory.map(|id| DirectoryId(uuid::Uuid::from_u128(id)));
    let endpoint = Endpoint { host: "two".to_owned(), port: PORT };
    Target { node: BrokerId(node), directory, endpoint }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[tokio::test]
async fn requests_are_answered_side_by_side() {
    let served = serve().await;
    let peers = Peers::new(served.hub.of("one"), introduction(key(1, 11), "c"));
    let peers = Arc::new(peers);
    let two = target(2, Some(22));
    let slow = {
        let (peers, two) = (Arc::clone(&peers), two.clone());
        tokio::spawn(async move {
            let until = Instant::now() + Duration::from_millis(300);
            peers.call(&two, Kind::Describe, Bytes::new(), until).await
        })
    };
    for number in 0..100u32 {
        let request = Bytes::from(number.to_string());
        let answer = peers.call(&two, Kind::Follow, request, soon()).await.unwrap();
        assert_eq!(answer, format!("{} {number}", key(1, 11)));
    }
    let large = Bytes::from(vec![7; PEER_FRAME_BYTES - 100]);
    let answer = peers.call(&two, Kind::Append, large, soon()).await.unwrap();
    assert!(answer.len() > PEER_FRAME_BYTES - 100);
    let refused = peers.call(&two, Kind::Vote, Bytes::new(), soon()).await.unwrap_err();
    assert!(
        matches!(&refused, CallError::Refused(no) if no.code == RefusalCode::NotLeader),
        "{refused}"
    );
    let late = slow.await.unwrap().unwrap_err();
    assert!(matches!(&late, CallError::Lost(_)), "{late}");
    assert_eq!(peers.connected(&target(2, None), soon()).await.unwrap().them(), key(2, 22));
}

#[tokio::test]
async fn who_is_not_meant_is_not_asked() {
    let served = serve().await;
    let refused = async |me: ReplicaKey, cluster: &str, to: Target| {
        let peers = Peers::new(served.hub.of("one"), introduction(me, cluster));
        match peers.call(&to, Kind::Follow, Bytes::new(), soon()).await {
            Err(CallError::NotSent(reason)) => reason,
            other => panic!("{other:?}"),
        }
    };
    let other_disk = refused(key(1, 11), "c", target(2, Some(23))).await;
    assert!(other_disk.contains("it is 2-"), "{other_disk}");
    let other_node = refused(key(1, 11), "c", target(3, None)).await;
    assert!(other_node.contains("node 3 was called, and this is 2-"), "{other_node}");
    let other_cluster = refused(key(1, 11), "d", target(2, None)).await;
    assert!(other_cluster.contains("belongs to cluster c"), "{other_cluster}");
    let twin = refused(key(2, 11), "c", target(2, None)).await;
    assert!(twin.contains("has the node id of"), "{twin}");
}

/// Founders ask each other who they are before there is a cluster.
#[tokio::test]
async fn who_does_not_know_its_cluster_learns_who_is_here_and_no_more() {
    for (mine, theirs) in [("", "c"), ("c", ""), ("", "")] {
        let served = serve_as(introduction(key(2, 22), theirs)).await;
        let one = introduction(key(1, 11), mine);
        let peers = Peers::new(served.hub.of("one"), Arc::clone(&one));
        let two = target(2, None);
        assert_eq!(peers.who_is(&two).await.unwrap(), key(2, 22));
        let refused = peers.call(&two, Kind::Follow, Bytes::new(), soon()).await;
        assert!(matches!(refused, Err(CallError::NotSent(_))), "{mine:?} of {theirs:?}");
        // Not even if it does not keep to that itself.
        let mut connection = raw(&served).await;
        let hello = Hello { cluster: mine.to_owned(), ..good_hello() };
        connection.writer.write_all(&greeted(&hello)).await.unwrap();
        let _ = connection.writer.write_all(&framed(&follow())).await;
        let answers = after_greeting(&mut connection).await;
        let length = u32::from_be_bytes(*answers.first_chunk().unwrap());
        assert_eq!(answers.len(), 4 + length as usize, "there is more than a hello");
        one.belongs_to(&"c".parse().unwrap());
        let called = peers.who_is(&two).await.map(|_| ());
        assert!(called.is_ok());
    }
}

fn follow() -> Frame {
    Frame { correlation: 1, kind: 6, ..Frame::default() }
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_refused() {
    let served = serve_as(with_secret(key(2, 22), "right")).await;
    let call = async |mine: &str| {
        let peers = Peers::new(served.hub.of("one"), with_secret(key(1, 11), mine));
        peers.call(&target(2, Some(22)), Kind::Follow, Bytes::new(), soon()).await
    };
    call("right").await.unwrap();
    for wrong in ["", "rights", "righ", "wrong"] {
        let refused = call(wrong).await.unwrap_err();
        assert!(refused.to_string().contains("does not know the secret"), "{wrong}: {refused}");
    }
    // It is told nothing that it did not know.
    let mut connection = raw(&served).await;
    connection.writer.write_all(&greeted(&good_hello())).await.unwrap();
    let answer = Hello::decode(&after_greeting(&mut connection).await[4..]).unwrap();
    assert_eq!((answer.cluster.as_str(), answer.from, answer.proof), ("", None, Vec::new()));
    // And who is called has to know it too.
    let without = serve_as(with_secret(key(2, 22), "")).await;
    let peers = Peers::new(without.hub.of("one"), with_secret(key(1, 11), "right"));
    let refused = peers.call(&target(2, Some(22)), Kind::Follow, Bytes::new(), soon()).await;
    assert!(matches!(refused, Err(CallError::NotSent(_))), "{refused:?}");
}

/// Who listened to one connection has nothing for another.
#[tokio::test]
async fn what_was_shown_on_one_connection_is_of_no_use_on_another() {
    let served = serve_as(with_secret(key(2, 22), "right")).await;
    let secret = PeerSecret::new(b"right".to_vec()).unwrap();
    let overheard = secret.proof(Side::Caller, &[&[7; NONCE_BYTES], &[9; NONCE_BYTES]]);
    let mut connection = raw(&served).await;
    let hello = Hello { proof: overheard, ..good_hello() };
    connection.writer.write_all(&greeted(&hello)).await.unwrap();
    let answer = Hello::decode(&after_greeting(&mut connection).await[4..]).unwrap();
    assert!(answer.refused.contains("does not know the secret"), "{answer:?}");
}

#[tokio::test]
async fn without_a_secret_only_this_machine_may_call() {
    for (secret, may_call) in [("", false), ("right", true)] {
        let served = serve_as(with_secret(key(2, 22), secret)).await;
        served.hub.put_far("one");
        let peers = Peers::new(served.hub.of("one"), with_secret(key(1, 11), secret));
        let called = peers.call(&target(2, Some(22)), Kind::Follow, Bytes::new(), soon()).await;
        assert_eq!(called.is_ok(), may_call, "{called:?}");
        let near = Peers::new(served.hub.of("three"), with_secret(key(3, 33), secret));
        near.call(&target(2, Some(22)), Kind::Follow, Bytes::new(), soon()).await.unwrap();
    }
}

/// As many as there may be connections say nothing.
#[tokio::test]
async fn a_crowd_of_strangers_keeps_nobody_out() {
    let served = serve().await;
    let peers = Peers::new(served.hub.of("one"), introduction(key(1, 11), "c"));
    let two = target(2, Some(22));
    peers.call(&two, Kind::Follow, Bytes::new(), soon()).await.unwrap();
    let mut crowd = Vec::new();
    for _ in 0..PEER_CONNECTIONS {
        crowd.push(raw(&served).await);
    }
    peers.call(&two, Kind::Follow, Bytes::new(), soon()).await.unwrap();
    let late = Peers::new(served.hub.of("three"), introduction(key(3, 33), "c"));
    late.call(&two, Kind::Follow, Bytes::new(), soon()).await.unwrap();
    assert_eq!(rest(&mut crowd[0]).await, b"", "the first of them was hung up on");
}

#[tokio::test]
async fn a_connection_that_died_is_made_anew() {
    let served = serve().await;
    let peers = Peers::new(served.hub.of("one"), introduction(key(1, 11), "c"));
    let two = target(2, Some(22));
    peers.call(&two, Kind::Follow, Bytes::new(), soon()).await.unwrap();
    served.hub.kill("two");
    let gone =
        async { while peers.call(&two, Kind::Follow, Bytes::new(), soon()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("it is noticed");
    let listeners = served.hub.of("two").listen("two", PORT).await.unwrap();
    let server = PeerServer::new(listeners, introduction(key(2, 22), "c"), Arc::new(Echo));
    let server = tokio::spawn(server.run());
    let back = async {
        while peers.call(&two, Kind::Follow, Bytes::new(), soon()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), back).await.expect("it is reached again");
    server.abort();
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let served = serve().await;
    let peers = Peers::new(served.hub.of("one"), introduction(key(1, 11), "c"));
    let two = target(2, Some(22));
    peers.call(&two, Kind::Follow, Bytes::new(), soon()).await.unwrap();
    served.hub.cut_off("two");
    let until = Instant::now() + Duration::from_secs(20);
    let lost = peers.call(&two, Kind::Describe, Bytes::new(), until).await.unwrap_err();
    assert!(lost.to_string().contains("the connection ended"), "{lost}");
}

async fn raw(served: &Served) -> Connection {
    served.hub.of("one").connect("two", PORT).await.unwrap()
}

fn framed(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes
}

fn good_hello() -> Hello {
    Hello {
        version: 1,
        cluster: "c".to_owned(),
        from: Some(key(1, 11).into()),
        to: 2,
        ..Hello::default()
    }
}

fn greeting() -> Greeting {
    Greeting { magic: hello::MAGIC, nonce: vec![7; NONCE_BYTES] }
}

/// A hello of who does not wait for what the other side draws.
fn greeted(hello: &Hello) -> Vec<u8> {
    [framed(&greeting()), framed(hello)].concat()
}

/// What comes after the other side's greeting until it closes.
async fn after_greeting(connection: &mut Connection) -> Vec<u8> {
    rest(connection).await.split_off(framed(&greeting()).len())
}

/// Reads until the peer closes.
async fn rest(connection: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = connection.reader.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(Duration::from_secs(30), read).await.expect("it closes");
    bytes
}

#[tokio::test]
async fn what_is_no_hello_or_too_long_is_hung_up_on() {
    let served = serve().await;
    let firsts = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        framed(&Greeting { magic: 1, ..greeting() }),
        framed(&Greeting { nonce: vec![7; NONCE_BYTES - 1], ..greeting() }),
        framed(&Greeting { nonce: vec![7; PEER_HELLO_BYTES], ..greeting() }),
    ];
    for first in firsts {
        let mut connection = raw(&served).await;
        connection.writer.write_all(&first).await.unwrap();
        assert_eq!(rest(&mut connection).await, b"", "it got an answer");
    }
    for (hello, reason) in [
        (Hello { version: 0, ..good_hello() }, "version 0 is too old"),
        (Hello { from: None, ..good_hello() }, "does not say who it is"),
    ] {
        let mut refused = raw(&served).await;
        refused.writer.write_all(&greeted(&hello)).await.unwrap();
        let answer = after_greeting(&mut refused).await;
        let answer = Hello::decode(&answer[4..]).unwrap();
        assert!(answer.refused.contains(reason), "{answer:?}");
    }
    let mut long_hello = raw(&served).await;
    let hello = Hello { cluster: "x".repeat(PEER_HELLO_BYTES), ..good_hello() };
    long_hello.writer.write_all(&greeted(&hello)).await.unwrap();
    assert_eq!(after_greeting(&mut long_hello).await, b"", "it got an answer");
    let mut long = raw(&served).await;
    long.writer.write_all(&greeted(&good_hello())).await.unwrap();
    let length = u32::try_from(PEER_FRAME_BYTES + 1).unwrap();
    long.writer.write_all(&length.to_be_bytes()).await.unwrap();
    let answer = after_greeting(&mut long).await;
    let answer = Hello::decode(&answer[4..]).unwrap();
    assert_eq!(answer.refused, "");
}

/// A length costs nothing before the bytes come.
#[tokio::test]
async fn a_frame_takes_memory_as_it_comes() {
    let budget = Arc::new(tokio::sync::Semaphore::new(1 << 20));
    let hub = Hub::default();
    let listeners = hub.of("two").listen("two", PORT).await.unwrap();
    let network = hub.of("one");
    let (one, two) = tokio::join!(network.connect("two", PORT), listeners[0].accept());
    let (mut one, Connection { reader, writer, .. }) = (one.unwrap(), two.unwrap());
    drop(writer);
    let mut reader = crate::peer::frame::FrameReader::new(reader, Some(budget.clone()));
    let read = tokio::spawn(async move { reader.next(PEER_FRAME_BYTES).await.map(|_| ()) });
    one.writer.write_all(&(4u32 << 20).to_be_bytes()).await.unwrap();
    one.writer.write_all(&[0; 100]).await.unwrap();
    let taken = async {
        while budget.available_permits() == 1 << 20 {
            tokio::task::yield_now().await;
        }
        (1 << 20) - budget.available_permits()
    };
    let taken = tokio::time::timeout(Duration::from_secs(5), taken).await.unwrap();
    assert!(taken <= 64 << 10, "{taken} bytes for a hundred");
    // And no more than there is.
    let _ = one.writer.write_all(&vec![0; 4 << 20]).await;
    let refused = read.await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("too much"), "{refused}");
    assert_eq!(budget.available_permits(), 1 << 20, "it is given back");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes, before the hello or after it, the server goes on.
    #[test]
    fn arbitrary_bytes_do_no_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        after_hello in any::<bool>(),
        framed_right in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let served = serve().await;
            let mut connection = raw(&served).await;
            if after_hello {
                connection.writer.write_all(&greeted(&good_hello())).await.unwrap();
            }
            if framed_right {
                let length = u32::try_from(bytes.len()).unwrap();
                let _ = connection.writer.write_all(&length.to_be_bytes()).await;
            }
            let _ = connection.writer.write_all(&bytes).await;
            let _ = connection.writer.shutdown().await;
            rest(&mut connection).await;
            let peers = Peers::new(served.hub.of("one"), introduction(key(1, 11), "c"));
            peers.call(&target(2, Some(22)), Kind::Follow, Bytes::new(), soon()).await.unwrap();
        });
        // What is decoded of it is bounded by it.
        let _ = Frame::decode(bytes.as_slice());
        let _ = Hello::decode(bytes.as_slice());
        let _ = Greeting::decode(bytes.as_slice());
    }
}
