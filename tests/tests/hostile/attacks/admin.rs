//! The admin server, whose `/livez` decides over restarts.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::join_all;
use odradek_tests::net::http_get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::target::Target;

/// 200 connections that send their heads a byte at a time, and come back when they are closed: who
/// asks for `/livez` is served.
pub async fn slow_lorises(target: &Target) -> Result<String> {
    const LORISES: usize = 200;
    let mut lorises = Vec::new();
    let (mut answered, mut opened) = (0, 0);
    for round in 0..20 {
        while lorises.len() < LORISES {
            lorises.push(TcpStream::connect(target.admin).await?);
            opened += 1;
        }
        let mut kept = Vec::new();
        for mut loris in lorises {
            let bytes: &[u8] = if round == 0 { b"GET /metrics HTTP/1.1\r\nX: " } else { b"x" };
            if loris.write_all(bytes).await.is_ok() {
                kept.push(loris);
            }
        }
        lorises = kept;
        if round % 4 == 3 {
            let (status, _) = http_get(target.admin, "/livez").await?;
            ensure!(status == 200, "/livez: {status}");
            answered += 1;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(format!("/livez answered {answered} times, {opened} lorises"))
}

/// Heads of a megabyte, of 100,000 lines, a body of 1 GB, answers that are not read.
pub async fn huge_heads(target: &Target) -> Result<String> {
    let long = format!("GET /livez HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100_000));
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let body = "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n".to_owned();
    let mut statuses = Vec::new();
    for request in [long, many, path, body] {
        let mut stream = TcpStream::connect(target.admin).await?;
        // The server closes before it has read all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = [0; 12];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer));
        let status = match read.await? {
            Ok(_) => String::from_utf8_lossy(&answer[9..]).into_owned(),
            Err(_) => "closed".to_owned(),
        };
        ensure!(status.starts_with('4') || status == "closed", "answered {status}");
        statuses.push(status);
    }
    let unread = (0..50).map(|_| async {
        let mut stream = TcpStream::connect(target.admin).await?;
        let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
        let write = stream.write_all(requests.as_bytes());
        let _ = tokio::time::timeout(Duration::from_secs(1), write).await;
        anyhow::Ok(stream)
    });
    let streams = join_all(unread).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (status, _) = http_get(target.admin, "/livez").await?;
    ensure!(status == 200, "/livez: {status}");
    drop(streams);
    Ok(statuses.join(", "))
}
