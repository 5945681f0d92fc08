//! Every answer that is not the thing asked for: its status, and one sentence that says why and what to do.
//!
//! Ignition takes each status below 500 as final (an emergency shell) and retries 5xx for ever; iPXE gives up on a
//! 5xx without `Retry-After`. So 404 is only for what does not exist, and whatever is our own fault is 503.

use std::io;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::catalogue::{ArtifactPath, BadPath, Sha256};
use crate::ids::HostName;

use super::access::SecretsPolicy;
use super::peer::Peer;
use super::snapshots::SnapshotRefusal;

/// Ignition's own back-off ends at five seconds, too.
pub const RETRY_AFTER_SECONDS: &str = "5";

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    BadPath(#[from] BadPath),
    #[error("the path is not UTF-8 text")]
    NotText,
    #[error("sha256 needs exactly one value of 64 hex digits, as in SHA256SUMS")]
    BadDigest,
    #[error("/{path} carries a secret and {client} may not have it: {}{}", secrets.rule(), at_hand(*client))]
    Secret { path: ArtifactPath, client: Peer, secrets: SecretsPolicy },
    #[error(
        "/{path} carries a secret, and {host:?} is no name of this server's (DNS rebinding?); ask by its address or by the name in base_url"
    )]
    ForeignName { path: ArtifactPath, host: String },
    #[error("there is nothing at /{0}; / lists what there is")]
    Unknown(ArtifactPath),
    #[error("/{path} with sha256 {wanted} is not kept any more; it is now {current}")]
    Superseded { path: ArtifactPath, wanted: Sha256, current: Sha256 },
    #[error("there is no host {0}; `pxe-serve hosts` lists them")]
    NoHost(String),
    #[error("{0} holds no reboot lock")]
    NoRebootLock(HostName),
    #[error("{0} is the address of no host of the inventory; each asks from its own whether it may reboot")]
    NoHostAt(Peer),
    #[error("no server has reported yet that it joined the cluster")]
    NoCluster,
    #[error("only {0} is answered here")]
    Method(&'static str),
    #[error(
        "this is for the operator, over operator.sock in the state folder, not for {0}; use `pxe-serve arm` and `pxe-serve hosts`, or `curl --unix-socket`"
    )]
    NotTheOperator(Peer),
    #[error(
        "the request came through a proxy (its header {header} says so), and who sent it is not known: secrets, reports and the operator's routes are answered only without one"
    )]
    Forwarded { header: String },
    #[error(
        "{host} reports from its own address in the inventory, which {client} is not; `serve --secrets lan` takes reports from any address of the network that is nobody else's"
    )]
    NotTheHost { host: HostName, client: Peer },
    #[error(
        "this came from a web page, or was made to a name that is none of this server's; ask by its address, without an Origin header"
    )]
    Forged,
    #[error("the body is not what is expected here: {0}")]
    BadBody(String),
    #[error("the body did not come in time")]
    SlowBody,
    #[error("{0}")]
    Snapshot(#[from] SnapshotRefusal),
    #[error("nothing to serve yet: {0}")]
    NotReady(String),
    #[error("{0}")]
    Ours(&'static str),
}

impl Refusal {
    pub fn no_host(name: &str) -> Self {
        Refusal::NoHost(name.chars().take(80).collect())
    }

    /// Nothing was acknowledged, so whoever reports comes again.
    pub fn journal(error: io::Error) -> Self {
        tracing::error!(%error, "cannot write the journal");
        Refusal::Ours("the journal in --state-dir cannot be written; the log says why")
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::BadPath(_) | Refusal::NotText | Refusal::BadDigest | Refusal::BadBody(_) => {
                StatusCode::BAD_REQUEST
            }
            Refusal::Secret { .. } | Refusal::ForeignName { .. } => StatusCode::FORBIDDEN,
            Refusal::NotTheOperator(_) | Refusal::Forwarded { .. } => StatusCode::FORBIDDEN,
            Refusal::NotTheHost { .. } | Refusal::Forged => StatusCode::FORBIDDEN,
            Refusal::Unknown(_) | Refusal::Superseded { .. } => StatusCode::NOT_FOUND,
            Refusal::NoHost(_) | Refusal::NoRebootLock(_) | Refusal::NoCluster => StatusCode::NOT_FOUND,
            Refusal::NoHostAt(_) => StatusCode::FORBIDDEN,
            // What curl --retry comes again for.
            Refusal::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Refusal::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Snapshot(refusal) => refusal.status(),
            Refusal::NotReady(_) | Refusal::Ours(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn extra_header(&self) -> Option<(HeaderName, &'static str)> {
        match self {
            Refusal::Method(allowed) => Some((header::ALLOW, allowed)),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                Some((header::RETRY_AFTER, RETRY_AFTER_SECONDS))
            }
            _ => None,
        }
    }
}

/// What a person at this machine does instead.
fn at_hand(client: Peer) -> &'static str {
    match client {
        Peer::ThisMachine(_) => {
            "; here use `pxe-serve show PATH`, `curl --unix-socket STATE_DIR/operator.sock`, or `serve --secrets loopback`"
        }
        Peer::Network(_) | Peer::Operator => "",
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            // What is refused now may be there after the next edit.
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (self.status(), headers, self.extra_header().map(|header| [header]), format!("{self}\n"))
            .into_response()
    }
}
