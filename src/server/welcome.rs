//! What a person sees who has just started the server: URLs to try, and what keeps others from reaching it.
//!
//! It goes to standard output, being the answer to the command typed; the log goes to standard error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::catalogue::{Artifact, ArtifactPath};

use super::access::SecretsPolicy;
use super::log::short;
use super::state::{Served, Status};

pub fn welcome(addresses: &[SocketAddr], secrets: SecretsPolicy, status: &Status) -> String {
    let base = addresses.first().map_or_else(String::new, |address| format!("http://{}", to_try(*address)));
    let mut lines = match (&status.served, &status.failure) {
        (Some(served), _) => urls(&base, secrets, served),
        (None, failure) => {
            let reason = failure.as_ref().map_or("not loaded yet", |failure| &failure.reason);
            vec![
                format!("pxe-serve is up, but has nothing to serve: {reason}"),
                "Mend it and save; the server notices. Until then every request is answered with 503."
                    .to_owned(),
                format!("  curl {base}/healthz"),
            ]
        }
    };
    lines.push(secrets_line(secrets).to_owned());
    if addresses.iter().all(|address| address.ip().is_loopback()) {
        let port = status.served.as_ref().map_or(80, |served| base_url_port(served));
        lines.push("Only this machine can connect. For the network, start it with".to_owned());
        lines.push(format!("  --listen 0.0.0.0:{port} --state-dir state"));
    }
    lines.join("\n") + "\n"
}

fn urls(base: &str, secrets: SecretsPolicy, served: &Served) -> Vec<String> {
    let catalogue = &served.generation.catalogue;
    // What whoever reads this gets with curl.
    let is_shown = |artifact: &Artifact| secrets == SecretsPolicy::Loopback || !artifact.is_secret();
    let shown = || catalogue.iter().filter(|(_, artifact)| is_shown(artifact)).map(|(path, _)| path);
    let conf = shown().find(|path| is_keepalived_conf(path));
    let any = || shown().next();
    let mut lines = vec![format!(
        "pxe-serve serves {} files (generation {}) at {base} — try",
        catalogue.len() + catalogue.static_files.len(),
        short(served.id)
    )];
    lines.extend(conf.or_else(any).map(|path| format!("  curl {base}/{path}")));
    lines.push(format!("  curl -H 'Accept: application/json' {base}/pxe/"));
    lines.push(format!("  {base}/  in a browser lists everything"));
    lines
}

fn is_keepalived_conf(path: &ArtifactPath) -> bool {
    path.file_name().starts_with("keepalived-") && path.file_name().ends_with(".conf")
}

fn secrets_line(secrets: SecretsPolicy) -> &'static str {
    match secrets {
        SecretsPolicy::OwnHost => {
            "Files with secrets go to the host they are for alone (--secrets own-host)."
        }
        SecretsPolicy::Lan => "Files with secrets go to everybody within network.cidr (--secrets lan).",
        SecretsPolicy::Loopback => {
            "Files with secrets go to this machine's loopback, and to no node (--secrets loopback)."
        }
    }
}

/// The port that the nodes will ask, from `http://HOST[:PORT]`.
fn base_url_port(served: &Served) -> u16 {
    let url = served.generation.inventory.router.base_url.as_str();
    url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80)
}

/// An address one can connect to: "any" is none.
fn to_try(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::from(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
