//! One GET from a plain web server, as nodes ask the router.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HOST;
use hyper::{Request, Uri};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::cluster::{Failure, Stage};

use super::{http, tls};

/// The body of a 200.
pub async fn get(url: &str, limit: Duration) -> Result<Bytes, Failure> {
    let broken = |error: &dyn std::fmt::Display| Failure::Broken(error.to_string());
    let deadline = Instant::now() + limit;
    let timed_out = |stage| move |_| Failure::TimedOut(stage);
    let uri: Uri = url.parse().map_err(|error: hyper::http::uri::InvalidUri| broken(&error))?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let at = if uri.port().is_some() { authority.clone() } else { format!("{authority}:80") };
    let found = timeout_at(deadline, lookup_host(at)).await.map_err(timed_out(Stage::Resolve))?;
    let addresses: Vec<_> = found.map_err(|error| Failure::Unresolved(error.to_string()))?.collect();
    let connecting = timeout_at(deadline, TcpStream::connect(&*addresses)).await;
    let stream =
        connecting.map_err(timed_out(Stage::Connect))?.map_err(|error| tls::not_connected(&error))?;
    let request = Request::get(uri.path()).header(HOST, authority).body(Full::default());
    let request = request.map_err(|error| broken(&error))?;
    let answer = timeout_at(deadline, http::send(stream, request)).await.map_err(timed_out(Stage::Answer))?;
    let answer = answer.map_err(|error| broken(&error))?;
    match answer.status().as_u16() {
        200 => Ok(answer.into_body()),
        status => Err(Failure::Status(status)),
    }
}
