//! What the library makes of a service's answers, and that one request is one attempt: the kinds of
//! errors hang on the library's words, so they are checked against the library itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};
use odradek_common::files::RealFiles;
use odradek_common::random::SeededRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Store, StoreErrorKind, StoreSettings, classify, describe, open};

/// A service that gives every request the same answer.
struct Service {
    store: Store,
    requests: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    async fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (requests.clone(), answer.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                serve(connection, &answer, &count).await;
            }
        });
        let settings = StoreSettings {
            endpoint: Some(endpoint),
            region: Some("somewhere".into()),
            access_key: Some("key".into()),
            secret_key: Some("secret".into()),
            ..StoreSettings::default()
        };
        let random = Arc::new(SeededRandom::from_seed(1));
        let store = open("s3://bucket/prefix", &settings, Arc::new(RealFiles), random);
        Self { store: store.await.unwrap(), requests, task }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        self.store.direct()
    }
}

async fn serve(mut connection: TcpStream, answer: &str, count: &AtomicUsize) {
    let mut request = Vec::new();
    while !whole(&request) {
        let mut chunk = [0; 4096];
        match connection.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(n) => request.extend_from_slice(&chunk[..n]),
        }
    }
    count.fetch_add(1, Ordering::SeqCst);
    let _ = connection.write_all(answer.as_bytes()).await;
    let _ = connection.shutdown().await;
}

/// True once head and body are there.
fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn code(status: &str, code: &str) -> String {
    answer(status, &format!("<Error><Code>{code}</Code></Error>"))
}

async fn create(service: &Service) -> Error {
    let put = service.store().put_opts(&Path::from("a"), "x".into(), PutMode::Create.into()).await;
    put.unwrap_err()
}

async fn read(service: &Service) -> Error {
    match service.store().get_range(&Path::from("a"), 5..10).await {
        Ok(bytes) => panic!("{bytes:?}"),
        Err(error) => error,
    }
}

async fn list(service: &Service) -> Error {
    service.store().list(None).try_collect::<Vec<_>>().await.unwrap_err()
}

async fn delete(service: &Service) -> Error {
    service.store().delete(&Path::from("a")).await.unwrap_err()
}

#[tokio::test]
async fn what_may_pass_is_transient_and_asked_for_once() {
    for passing in [
        code("500 Internal Server Error", "InternalError"),
        code("503 Service Unavailable", "SlowDown"),
        code("429 Too Many Requests", "SlowDown"),
        code("408 Request Timeout", "RequestTimeout"),
        code("400 Bad Request", "RequestTimeout"),
        String::new(),
        "HTTP/1.1 200 OK\r\nContent-Le".to_owned(),
    ] {
        let service = Service::answering(&passing).await;
        let errors = [
            create(&service).await,
            read(&service).await,
            list(&service).await,
            delete(&service).await,
        ];
        for error in errors {
            assert_eq!(classify(&error), StoreErrorKind::Transient, "{passing}: {error:?}");
        }
        assert_eq!(service.requests.load(Ordering::SeqCst), 4, "{passing}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_is_transient() {
    let service = Service::answering("").await;
    service.task.abort();
    while !service.task.is_finished() {
        tokio::task::yield_now().await;
    }
    let error = create(&service).await;
    assert_eq!(classify(&error), StoreErrorKind::Transient, "{error:?}");
}

#[tokio::test]
async fn put_if_absent() {
    let service = Service::answering(&code("412 Precondition Failed", "PreconditionFailed")).await;
    assert!(matches!(create(&service).await, Error::AlreadyExists { .. }));
    let service = Service::answering(&code("409 Conflict", "ConditionalRequestConflict")).await;
    let error = create(&service).await;
    assert!(matches!(error, Error::Generic { .. }), "{error:?}");
    assert_eq!(classify(&error), StoreErrorKind::Transient);
    assert_eq!(service.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_missing_object_and_a_missing_bucket() {
    let service = Service::answering(&code("404 Not Found", "NoSuchKey")).await;
    assert!(matches!(read(&service).await, Error::NotFound { .. }));
    let service = Service::answering(&code("404 Not Found", "NoSuchBucket")).await;
    for error in [create(&service).await, read(&service).await, list(&service).await] {
        assert!(!matches!(error, Error::NotFound { .. }), "{error:?}");
        assert_eq!(describe(&error), "the bucket (or container) does not exist");
    }
}

#[tokio::test]
async fn a_range_past_the_end() {
    let service = Service::answering(&code("416 Range Not Satisfiable", "InvalidRange")).await;
    assert_eq!(classify(&read(&service).await), StoreErrorKind::InvalidRange);
}

#[tokio::test]
async fn what_lasts_is_told_in_a_sentence() {
    for (lasting, sentence) in [
        (code("403 Forbidden", "AccessDenied"), "access denied"),
        (code("403 Forbidden", "InvalidAccessKeyId"), "does not know the access key"),
        (code("403 Forbidden", "SignatureDoesNotMatch"), "secret key does not fit"),
        (code("403 Forbidden", "RequestTimeTooSkewed"), "clock is wrong"),
        (code("401 Unauthorized", ""), "access denied"),
        (code("301 Moved Permanently", "PermanentRedirect"), "another region"),
        (code("400 Bad Request", "AuthorizationHeaderMalformed"), "another region"),
        (code("400 Bad Request", "ExpiredToken"), "has expired"),
        (code("501 Not Implemented", "NotImplemented"), "cannot do this"),
    ] {
        let service = Service::answering(&lasting).await;
        for error in [create(&service).await, list(&service).await] {
            let kind = classify(&error);
            let StoreErrorKind::Permanent(told) = kind else { panic!("{lasting}: {error:?}") };
            assert!(told.contains(sentence), "{told}");
        }
    }
}

#[tokio::test]
async fn plain_http_must_be_allowed() {
    let settings = StoreSettings {
        endpoint: Some("http://127.0.0.1:9".into()),
        access_key: Some("key".into()),
        secret_key: Some("secret".into()),
        allow_http: Some(false),
        ..StoreSettings::default()
    };
    let random = Arc::new(SeededRandom::from_seed(1));
    let store = open("s3://bucket", &settings, Arc::new(RealFiles), random).await.unwrap();
    let error = store.direct().head(&Path::from("a")).await.unwrap_err();
    let told = describe(&error);
    assert!(told.contains("storage.allow.http"), "{told}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_transient() {
    let cut = "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\
        Content-Range: bytes 5-9/20\r\nLast-Modified: Sat, 21 Nov 2026 09:31:29 GMT\r\n\
        ETag: \"e\"\r\n\r\nabc";
    let service = Service::answering(cut).await;
    let error = read(&service).await;
    assert_eq!(classify(&error), StoreErrorKind::Transient, "{error:?}");
}

#[tokio::test]
async fn one_object_of_many_that_cannot_be_deleted() {
    let body = "<?xml version=\"1.0\"?><DeleteResult><Deleted><Key>a</Key></Deleted>\
        <Error><Key>b</Key><Code>ServiceUnavailable</Code><Message>m</Message></Error>\
        <Error><Key>c</Key><Code>AccessDenied</Code><Message>m</Message></Error></DeleteResult>";
    let service = Service::answering(&answer("200 OK", body)).await;
    let keys = futures::stream::iter(["a", "b", "c"].map(|key| Ok(Path::from(key)))).boxed();
    let answers: Vec<_> = service.store().delete_stream(keys).collect().await;
    let kinds: Vec<_> = answers.iter().map(|answer| answer.as_ref().map_err(classify)).collect();
    assert_eq!(kinds[0], Ok(&Path::from("a")));
    assert_eq!(kinds[1], Err(StoreErrorKind::Transient));
    assert!(matches!(kinds[2], Err(StoreErrorKind::Permanent(_))), "{kinds:?}");
}
