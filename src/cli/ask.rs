//! Asking the server that runs, over the operator's socket in its state folder: its answer, or why there is none.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use tokio::net::UnixStream;

use crate::boot::Roster;
use crate::probe::http;
use crate::server::OPERATOR_SOCKET;

/// It is this machine: what takes longer hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Which server, by the folder that it keeps its state in.
#[derive(Debug, clap::Args)]
pub struct OperatorArgs {
    /// The state folder of the server that runs; the socket in it makes whoever may open it the operator
    #[arg(long, value_name = "DIR", default_value = "state")]
    state_dir: PathBuf,
}

impl OperatorArgs {
    pub fn roster(&self) -> anyhow::Result<Roster> {
        super::wait_for(self.roster_answer())?
    }

    /// The same, for who waits for other things as well.
    pub async fn roster_answer(&self) -> anyhow::Result<Roster> {
        let body = self.answer(Method::GET, "/pxe/hosts", Bytes::new()).await?;
        serde_json::from_slice(&body).context("this is not the answer of a pxe-serve of this version")
    }

    /// The body of a good answer; the text of another one is the error.
    pub async fn answer(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let seconds = ANSWER_WITHIN.as_secs();
        let server =
            || format!("the server of {} does not answer within {seconds} s", self.state_dir.display());
        tokio::time::timeout(ANSWER_WITHIN, self.send(method, path, body)).await.with_context(server)?
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let socket = self.state_dir.join(OPERATOR_SOCKET);
        let stream = UnixStream::connect(&socket).await;
        let stream = stream.map_err(|error| no_server(&self.state_dir, &socket, &error))?;
        let request =
            Request::builder().method(method).uri(path).header("host", "localhost").body(Full::new(body))?;
        let answer = http::send(stream, request).await?;
        if !answer.status().is_success() {
            bail!("{}", String::from_utf8_lossy(answer.body()).trim());
        }
        Ok(answer.into_body())
    }
}

fn no_server(dir: &Path, socket: &Path, error: &io::Error) -> anyhow::Error {
    let (dir, socket) = (dir.display(), socket.display());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => anyhow::anyhow!(
            "no server uses {dir} ({socket}: {error}); start pxe-serve serve --state-dir {dir}, or name the folder of the one that runs with --state-dir DIR"
        ),
        io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "{socket} is for the user who runs the server alone: {error}; run this as that user"
        ),
        _ => anyhow::anyhow!("cannot connect to {socket}: {error}"),
    }
}
