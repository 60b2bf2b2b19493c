use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[derive(Default)]
struct Broker {
    listening: AtomicBool,
}

impl Readiness for Broker {
    fn checks(&self) -> Vec<Check> {
        let listening = self.listening.load(Ordering::SeqCst);
        let check = |name, required, passed| Check {
            name,
            required,
            passed,
            detail: "as it is".to_owned(),
        };
        vec![check("listeners", true, listening), check("store", false, false)]
    }
}

struct Running {
    address: SocketAddr,
    broker: Arc<Broker>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Running {
    let broker = Arc::new(Broker::default());
    let listen = HostPort { host: "127.0.0.1".to_owned(), port: 0 };
    let recorder = recorder::build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!(crate::metric_names::PRODUCED_BYTES).increment(5);
    });
    let shown = recorder::Shown::of(recorder.handle());
    let server = AdminServer::bind(&listen, shown, broker.clone()).await.unwrap();
    let address = server.address().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(server.run(shutdown.clone()));
    Running { address, broker, shutdown, task }
}

/// Sends one request on a connection of its own and reads until the server closes it.
async fn ask(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses may reset the connection; what came before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(running: &Running, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    ask(running, &request).await
}

#[tokio::test]
async fn life_readiness_and_metrics_are_told() {
    let running = start().await;
    let alive = get(&running, "/livez", "").await;
    assert!(alive.starts_with("HTTP/1.1 200") && alive.ends_with("\r\n\r\nok\n"), "{alive}");

    let unready = get(&running, "/readyz", "").await;
    assert!(unready.starts_with("HTTP/1.1 503"), "{unready}");
    assert!(
        unready
            .ends_with("\r\n\r\nnot ready\nFAILED  listeners: as it is\nwarning store: as it is\n")
    );
    running.broker.listening.store(true, Ordering::SeqCst);
    let ready = get(&running, "/readyz", "").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "a store that is down leaves it ready: {ready}");

    for answer in [
        get(&running, "/readyz?format=json", "").await,
        get(&running, "/readyz", "Accept: application/json\r\n").await,
    ] {
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["ready"], true);
        assert_eq!(body["checks"][1]["name"], "store");
        assert_eq!(body["checks"][1]["passed"], false);
    }

    let metrics = get(&running, "/metrics", "").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("odradek_produced_bytes_total 5"), "{metrics}");

    assert!(get(&running, "/nothing", "").await.starts_with("HTTP/1.1 404"));
    let post = ask(&running, "POST /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
    running.shutdown.cancel();
    running.task.await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_too_long_or_no_http_is_refused() {
    let running = start().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let answer = ask(&running, &long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer:.100}");
    let answer = ask(&running, "\0\0\0\u{1}nonsense\r\n\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer:.100}");
    assert!(get(&running, "/livez", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn for_connections_beyond_the_limit_the_oldest_are_closed() {
    let running = start().await;
    let mut idle = Vec::new();
    for _ in 0..ADMIN_CONNECTIONS {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        idle.push(stream);
    }
    for _ in 0..3 {
        assert!(get(&running, "/livez", "").await.starts_with("HTTP/1.1 200"));
    }
    let mut rest = Vec::new();
    let oldest = tokio::time::timeout(Duration::from_secs(10), idle[0].read_to_end(&mut rest));
    oldest.await.expect("the oldest is closed").unwrap();
    // The newest is as it was, and is still served.
    let newest = idle.last_mut().unwrap();
    newest.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    newest.read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("/readyz?format=json"));
}

#[tokio::test]
async fn shutdown_does_not_wait_for_idle_connections() {
    let running = start().await;
    let _half_sent = {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"GET /livez HT").await.unwrap();
        stream
    };
    assert!(get(&running, "/livez", "").await.starts_with("HTTP/1.1 200"));
    running.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), running.task).await;
    ended.expect("the server ends").unwrap();
}
