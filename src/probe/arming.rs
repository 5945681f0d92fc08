//! Arming a host at a server of ours: its next boot from the network installs it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use tokio::net::TcpStream;

use crate::ids::{BaseUrl, HostName};

use super::http;

/// A server on this machine answers at once.
const LIMIT: Duration = Duration::from_secs(10);
/// What is shown of an answer that is no yes.
const REASON_CHARS_MAX: usize = 300;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{server} does not answer: {why}; name a pxe-serve that runs, by --server")]
    NoAnswer { server: BaseUrl, why: String },

    #[error("{server} refuses with HTTP {status}: {reason}")]
    Refused { server: BaseUrl, status: u16, reason: String },
}

/// `for_seconds` is how long it stays armed if it does not boot.
pub async fn arm(server: &BaseUrl, host: &HostName, for_seconds: u64) -> Result<(), Error> {
    let no_answer = |why: String| Error::NoAnswer { server: server.clone(), why };
    let authority = server.as_str().trim_start_matches("http://");
    // HTTP's own port, where none is named: behind the last bracket of IPv6, if there is one.
    let port_is_named = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    let address = if port_is_named { authority.to_owned() } else { format!("{authority}:80") };
    let asking = async {
        let stream = TcpStream::connect(&address).await.map_err(|error| no_answer(error.to_string()))?;
        let request = Request::post(format!("/pxe/hosts/{host}/arm"))
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(serde_json::json!({ "for_seconds": for_seconds }).to_string())))
            .map_err(|error| no_answer(error.to_string()))?;
        http::send(stream, request).await.map_err(|error| no_answer(error.to_string()))
    };
    let answer = tokio::time::timeout(LIMIT, asking)
        .await
        .map_err(|_| no_answer(format!("nothing in {} s", LIMIT.as_secs())))??;
    if answer.status().is_success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(answer.body()).split_whitespace().collect::<Vec<_>>().join(" ");
    let reason = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    Err(Error::Refused { server: server.clone(), status: answer.status().as_u16(), reason })
}
