//! Why a server did not answer as it should: told apart as far as a client can, since each kind has another remedy.

use serde::Serialize;

/// How far a request had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Resolve,
    Connect,
    Handshake,
    Answer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
pub enum Failure {
    #[error("the name does not resolve: {0}")]
    Unresolved(String),
    #[error("the name resolves to {0}, which is no VIP of the inventory")]
    Elsewhere(String),
    #[error("connection refused")]
    Refused,
    #[error("{}", timed_out(*.0))]
    TimedOut(Stage),
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("what answers there does not speak TLS")]
    NotTls,
    #[error("the server ended TLS with the alert {0}")]
    Alert(String),
    #[error("its certificate is not for this name")]
    NotForName,
    #[error("its certificate has expired")]
    Expired,
    #[error("its certificate is not valid yet")]
    NotYetValid,
    #[error("its certificate is not from the cluster's CA")]
    UnknownCa,
    #[error("its certificate is not good: {0}")]
    BadCertificate(String),
    #[error("it answers with HTTP {0}")]
    Status(u16),
}

fn timed_out(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve => "no answer from DNS in time",
        Stage::Connect => "no answer to the connection in time",
        Stage::Handshake => "it takes connections, but does not finish TLS in time",
        Stage::Answer => "it does not answer the request in time",
    }
}

impl Failure {
    /// What to do about it, in the imperative.
    pub fn remedy(&self) -> &'static str {
        match self {
            Failure::Unresolved(_) | Failure::TimedOut(Stage::Resolve) => {
                "look at the DNS server that this machine asks, and at the name in the inventory"
            }
            Failure::Elsewhere(_) => "set the name's addresses in DNS to those of vips.control_planes",
            Failure::Refused => "nobody listens on port 6443: look at `systemctl status k3s` on the node",
            Failure::TimedOut(Stage::Connect) => {
                "the machine is off, its address is held by nobody, or a firewall drops what is sent to port 6443"
            }
            Failure::TimedOut(Stage::Handshake | Stage::Answer) => {
                "k3s hangs or the machine is overloaded: look at `journalctl -u k3s` on the node"
            }
            Failure::Unreachable(_) => "look at this machine's routes and at its VPN",
            Failure::Broken(_) => {
                "k3s may be starting: try again, then look at `journalctl -u k3s` on the node"
            }
            Failure::NotTls => "something else has port 6443, or a proxy is in between",
            Failure::Alert(_) => "the server refuses this client: fetch k3s.yaml from a server anew",
            Failure::NotForName => {
                "add what is missing to the server's tls-san: `pxe-serve tls-san check` says what"
            }
            Failure::Expired => {
                "restart k3s on the node, which renews its certificates; and compare the clocks"
            }
            Failure::NotYetValid => "compare the clocks of this machine and of the node",
            Failure::UnknownCa => {
                "this is another cluster, or one that was made anew: fetch k3s.yaml from a server anew"
            }
            Failure::BadCertificate(_) => "look at what `openssl s_client -connect` shows",
            Failure::Status(401 | 403) => {
                "the cluster does not know this client certificate: fetch k3s.yaml from a server anew"
            }
            Failure::Status(_) => {
                "the server says that it is not ready: look at `journalctl -u k3s` on the node"
            }
        }
    }
}
