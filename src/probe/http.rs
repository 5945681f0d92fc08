//! One HTTP/1.1 request over a stream that somebody else has connected, plain or TLS, and its whole answer.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// What is asked for here is a status or a list; a peer that sends more is not who we think it is.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the connection broke: {0}")]
    Connection(#[from] hyper::Error),
    #[error("the answer broke off, or is longer than {BODY_BYTES_MAX} bytes: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Sends `request`, whose URI is the path and which has a `Host` header. It waits for as long as its caller does.
pub async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It moves the bytes; dropped with the answer, so that nothing outlives a deadline.
    let moving = AbortOnDrop(tokio::spawn(connection));
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(Error::Body)?.to_bytes();
    drop(moving);
    Ok(Response::from_parts(head, body))
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
