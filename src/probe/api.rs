//! One GET from the API server, over TLS.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{ACCEPT, DATE, HOST};
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};

use crate::cluster::{Certificate, Failure, Stage, UnixSeconds};

use super::http;
use super::tls::{self, Client};

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    /// The server's clock.
    pub date: Option<UnixSeconds>,
    pub certificate: Certificate,
}

impl Answer {
    /// Only 200 is good.
    pub fn ok(self) -> Result<Answer, Failure> {
        if self.status == 200 { Ok(self) } else { Err(Failure::Status(self.status)) }
    }
}

/// Asks for `path`. `limit` is for all of it: connection, handshake and answer.
pub async fn get(
    client: &Client,
    address: SocketAddr,
    name: ServerName<'static>,
    path: &str,
    limit: Duration,
) -> Result<Answer, Failure> {
    let deadline = Instant::now() + limit;
    let host = match &name {
        ServerName::DnsName(name) => format!("{}:{}", name.as_ref(), address.port()),
        _ => address.to_string(),
    };
    let stream = tls::connect(client, address, name, deadline).await?;
    let certificate = tls::shown(&stream)?;
    let request = Request::get(path).header(HOST, host).header(ACCEPT, "application/json, */*");
    let request = request.body(Full::default()).map_err(|error| Failure::Broken(error.to_string()))?;
    let answer = timeout_at(deadline, http::send(stream, request)).await;
    let answer = answer.map_err(|_| Failure::TimedOut(Stage::Answer))?.map_err(|error| failure(&error))?;
    let date = answer.headers().get(DATE).and_then(|date| unix_seconds(date.to_str().ok()?));
    Ok(Answer { status: answer.status().as_u16(), date, body: answer.into_body(), certificate })
}

/// In TLS 1.3 a server's alert about the client's certificate comes after the handshake, in place of the answer.
fn failure(error: &http::Error) -> Failure {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return tls::not_secured(io);
        }
        cause = error.source();
    }
    Failure::Broken(error.to_string())
}

fn unix_seconds(date: &str) -> Option<UnixSeconds> {
    let since = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
    since.as_secs().try_into().ok()
}
