//! Asking the server that runs: where it is, and its answer or why there is none.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use tokio::net::TcpStream;

use crate::boot::Roster;
use crate::ids::BaseUrl;
use crate::probe::http;

/// It is this machine: what takes longer hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Where the server is.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// The server that runs; it answers this only to its own machine's loopback
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = parse_url)]
    server: BaseUrl,
}

fn parse_url(text: &str) -> Result<BaseUrl, String> {
    text.parse().map_err(|_| format!("{text:?} is not http://ADDRESS[:PORT]"))
}

impl ServerArgs {
    pub fn roster(&self) -> anyhow::Result<Roster> {
        super::wait_for(self.roster_answer())?
    }

    /// The same, for who waits for other things as well.
    pub async fn roster_answer(&self) -> anyhow::Result<Roster> {
        let body = self.answer(Method::GET, "/pxe/hosts", Bytes::new()).await?;
        serde_json::from_slice(&body).context("this is not the answer of a pxe-serve of this version")
    }

    /// The body of a good answer; the text of another one is the error.
    pub fn ask(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        super::wait_for(self.answer(method, path, body))?
    }

    /// The same, for who waits for other things as well.
    pub async fn answer(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let seconds = ANSWER_WITHIN.as_secs();
        tokio::time::timeout(ANSWER_WITHIN, self.send(method, path, body))
            .await
            .with_context(|| format!("{} does not answer within {seconds} s", self.server))?
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let authority = self.server.as_str().trim_start_matches("http://");
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let stream = TcpStream::connect(&address).await.with_context(|| {
            format!(
                "nothing to talk to at {}; start `pxe-serve serve`, or say where it listens with --server URL",
                self.server
            )
        })?;
        let request =
            Request::builder().method(method).uri(path).header("host", authority).body(Full::new(body))?;
        let answer = http::send(stream, request).await?;
        if !answer.status().is_success() {
            bail!("{}", String::from_utf8_lossy(answer.body()).trim());
        }
        Ok(answer.into_body())
    }
}
