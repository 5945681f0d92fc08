//! Clients that stall, crowd or leave, and a server that stops.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::catalogue::Artifact;
use crate::server::{Config, Error, Server};

use super::client::{Reply, Running, config, start};
use super::site::{SCRIPT, generation, good, public, with};

const BIG: &str = "pxe/big";

/// Several times what the kernel buffers for us as the sender and for a reader with a small buffer of its own.
const BIG_BYTES: usize = 4 << 20;

static BIG_ARTIFACT: LazyLock<Artifact> = LazyLock::new(|| public(BIG, &"x".repeat(BIG_BYTES)));

fn impatient() -> Config {
    let mut config = config();
    config.limits.header_read = Duration::from_millis(300);
    config.limits.write_stall = Duration::from_millis(300);
    config.limits.stop = Duration::from_millis(600);
    config
}

fn big() -> crate::generation::Loaded {
    good(with(vec![(BIG, BIG_ARTIFACT.clone()), (SCRIPT, public(SCRIPT, "#!/bin/sh\n"))]))
}

/// A connection that asks for the big artifact and holds little of it itself.
async fn asking_for_big(server: &Running) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    stream.write_all(format!("GET /{BIG} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

/// How long until the server closes.
async fn closed(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    // A reset is a close as well.
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect("it stays open");
    began.elapsed()
}

#[tokio::test]
async fn a_client_that_stalls_in_its_header_is_closed_in_time() {
    let server = start(impatient(), || good(generation("a"))).await;
    for sent in ["", "G", "GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut stream = server.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        let took = closed(&mut stream).await;
        assert!(took > Duration::from_millis(200) && took < Duration::from_secs(2), "{sent:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_client_that_sends_a_byte_now_and_then_is_closed_in_time() {
    let server = start(impatient(), || good(generation("a"))).await;
    let mut stream = server.connect().await;
    let began = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Slowly: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    closed(&mut stream).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer() {
    let server = start(impatient(), || good(generation("a"))).await;
    let mut stream = server.connect().await;
    let request = format!("GET /{SCRIPT} HTTP/1.1\r\nHost: x\r\n\r\n");
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(closed(&mut stream).await < Duration::from_secs(2));
}

#[tokio::test]
async fn a_body_that_never_comes_holds_nobody_up() {
    let server = start(impatient(), || good(generation("a"))).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 405");
    assert!(closed(&mut stream).await < Duration::from_secs(2));
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_closed_in_time() {
    let server = start(impatient(), big).await;
    let mut stream = asking_for_big(&server).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut got = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut got)).await.expect("it stays open");
    assert!(got.len() < BIG_BYTES, "it was cut off");
}

#[tokio::test]
async fn a_slow_but_steady_reader_gets_everything() {
    let server = start(impatient(), big).await;
    let mut stream = asking_for_big(&server).await;
    let (mut got, mut buffer) = (0, vec![0; 1 << 20]);
    let began = Instant::now();
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            bytes => got += bytes,
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert!(began.elapsed() > Duration::from_millis(600), "longer than every timeout");
    assert!(got > BIG_BYTES, "{got}");
}

#[tokio::test]
async fn beyond_the_limit_a_client_waits_until_another_leaves() {
    let mut config = config();
    config.limits.connections = 3;
    let server = start(config, || good(generation("a"))).await;
    let mut holding = Vec::new();
    for _ in 0..3 {
        holding.push(server.connect().await);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let target = format!("/{SCRIPT}");
    let mut next = Box::pin(server.get(&target));
    assert!(timeout(Duration::from_millis(200), &mut next).await.is_err(), "it is served beyond the limit");
    holding.pop();
    let reply = timeout(Duration::from_secs(2), next).await.expect("it is served once there is room");
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_client_that_closes_its_sending_half_gets_its_answer() {
    let server = start(config(), || good(generation("a"))).await;
    let mut stream = server.connect().await;
    stream.write_all(format!("GET /{SCRIPT} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(Reply::parse(&bytes).status, 200);
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let server = start(config(), || good(generation("a"))).await;
    let mut stream = server.connect().await;
    let one = format!("GET /{SCRIPT} HTTP/1.1\r\nHost: x\r\n\r\n");
    let last = "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{one}{one}{last}").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let codes: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(codes, ["200", "200", "404"]);
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_takes_nothing_new() {
    let mut server = start(config(), big).await;
    let (mut busy, mut idle) = (asking_for_big(&server).await, server.connect().await);
    let mut first = vec![0; 1 << 16];
    busy.read_exact(&mut first).await.unwrap();
    server.stop();
    assert!(closed(&mut idle).await < Duration::from_secs(1), "an idle connection is closed at once");
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing new is taken");
    let mut rest = Vec::new();
    busy.read_to_end(&mut rest).await.unwrap();
    assert!(first.len() + rest.len() > BIG_BYTES);
    timeout(Duration::from_secs(2), server.task).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let mut server = start(impatient(), big).await;
    let _stalled = asking_for_big(&server).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    server.stop();
    timeout(Duration::from_secs(2), server.task).await.expect("it ends").unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn several_addresses_are_listened_on_and_a_taken_one_is_an_error_that_helps() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config { listen: vec![any, any], ..config() };
    let server = Server::start(&config, || good(generation("a"))).await.unwrap();
    let addresses = server.addresses();
    assert_eq!(addresses.len(), 2);
    let taken = Config { listen: vec![addresses[0]], ..config };
    let Err(error) = Server::start(&taken, || good(generation("a"))).await else {
        panic!("it listens twice")
    };
    assert!(matches!(error, Error::Bind { .. }));
    assert!(error.to_string().contains("ss -ltnp"), "{error}");
    let serving = tokio::spawn(server.serve(std::future::pending()));
    for address in addresses {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(Reply::parse(&bytes).status, 200);
    }
    serving.abort();
}
