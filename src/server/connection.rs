//! One connection: HTTP/1 with a clock on both directions, for the peer that it was accepted from.
//!
//! `axum::serve` is not used: it has no header timeout, and 1,000 connections that send half a header stay open
//! for ever. It costs a task and two small buffers a connection.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

use super::config::Limits;
use super::peer::Peer;

/// Serves requests on `stream` until the peer, a timeout or `watcher` ends it.
pub async fn serve<S>(stream: S, peer: Peer, routes: Router, limits: &Limits, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
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
        tracing::debug!(client = %peer, %error, "connection ended early");
    }
}
