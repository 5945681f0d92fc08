//! One TCP connection: HTTP/1 with a clock on both directions, and who is at each end.
//!
//! `axum::serve` is not used: it has no header timeout, and 1,000 connections that send half a header stay open
//! for ever. It costs a task and two small buffers a connection.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

use super::config::Limits;

/// The addresses of both ends, IPv4 always as IPv4: a socket on `[::]` sees it as `::ffff:192.0.2.1` (RFC 4291 §2.5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    pub peer: IpAddr,
    pub local: IpAddr,
}

impl Endpoints {
    pub fn new(peer: IpAddr, local: IpAddr) -> Self {
        Endpoints { peer: peer.to_canonical(), local: local.to_canonical() }
    }

    pub fn of(stream: &TcpStream) -> std::io::Result<Self> {
        Ok(Endpoints::new(stream.peer_addr()?.ip(), stream.local_addr()?.ip()))
    }
}

/// Serves requests on `stream` until the peer, a timeout or `watcher` ends it.
pub async fn serve(stream: TcpStream, routes: Router, limits: &Limits, watcher: Watcher) {
    let endpoints = match Endpoints::of(&stream) {
        Ok(endpoints) => endpoints,
        // The peer was gone before we looked.
        Err(error) => return tracing::debug!(%error, "connection lost at once"),
    };
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(endpoints);
        let routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    // Best effort: without it a small answer may wait for the peer's delayed ACK.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    // Only writes: hyper also reads while it answers, to notice a peer that left, and a read timeout would cut a
    // long download short. Its own header timeout covers idle connections as well.
    stream.set_write_timeout(Some(limits.write_stall));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(limits.header_bytes)
        // A client may close its sending half once it has asked (netcat, some boot ROMs).
        .half_close(true)
        // U-Boot's legacy client looks for "Content-Length" with capitals.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(client = %endpoints.peer, %error, "connection ended early");
    }
}
