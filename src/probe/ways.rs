//! All ways to the API tried at once, until it is clear which one is taken.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::cluster::{Candidate, Choice, Failure, Host, Outcome, Stage, choose, resolved_vip};
use crate::ids::DnsName;
use crate::inventory::Inventory;

use super::api;
use super::tls::Client;

/// For one way: name, connection, TLS and answer. A SYN that is lost comes again after 1 s (RFC 6298 §2), and a
/// busy mini PC takes its time for `/readyz`; with all ways hanging the decision is still there within 3 s.
pub const LIMIT: Duration = Duration::from_millis(2_500);

/// What came of one way.
#[derive(Debug, Clone)]
pub struct Tried {
    pub candidate: Candidate,
    /// `None`: a better one was good before this one answered.
    pub outcome: Outcome,
    pub took: Duration,
}

/// Tries all of them at `port`, which is 6443 but for tests.
pub async fn try_all(
    client: &Client,
    inventory: &Inventory,
    candidates: &[Candidate],
    port: u16,
) -> (Vec<Tried>, Choice) {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for (place, candidate) in candidates.iter().enumerate() {
        let (client, host) = (client.clone(), candidate.host.clone());
        let vips = inventory.vips.control_planes.clone();
        tasks.spawn(async move { (place, try_one(&client, &host, &vips, port, begin + LIMIT).await) });
    }
    let mut outcomes: Vec<Outcome> = vec![None; candidates.len()];
    let mut took = vec![Duration::ZERO; candidates.len()];
    while choose(&outcomes) == Choice::Undecided
        && let Some(Ok((place, outcome))) = tasks.join_next().await
    {
        (outcomes[place], took[place]) = (Some(outcome), begin.elapsed());
    }
    let choice = choose(&outcomes);
    let tried = candidates.iter().zip(outcomes).zip(took);
    let tried =
        tried.map(|((candidate, outcome), took)| Tried { candidate: candidate.clone(), outcome, took });
    (tried.collect(), choice)
}

async fn try_one(
    client: &Client,
    host: &Host,
    vips: &[std::net::IpAddr],
    port: u16,
    deadline: Instant,
) -> Result<(), Failure> {
    let (address, name) = match host {
        Host::Address(address) => (*address, ServerName::IpAddress((*address).into())),
        Host::Name(name) => {
            let bad = |error: rustls::pki_types::InvalidDnsNameError| Failure::Unresolved(error.to_string());
            let server = ServerName::try_from(name.to_string()).map_err(bad)?;
            (resolved_vip(vips, &resolve(name, deadline).await?)?, server)
        }
    };
    let left = deadline.saturating_duration_since(Instant::now());
    api::get(client, SocketAddr::new(address, port), name, "/readyz", left).await?.ok().map(drop)
}

/// The addresses of a name, as this machine's resolver says.
pub async fn resolve(name: &DnsName, deadline: Instant) -> Result<Vec<std::net::IpAddr>, Failure> {
    let looking = timeout_at(deadline, lookup_host((name.as_str(), 0))).await;
    let found = looking.map_err(|_| Failure::TimedOut(Stage::Resolve))?;
    let found = found.map_err(|error| Failure::Unresolved(error.to_string()))?;
    let mut addresses: Vec<_> = found.map(|address| address.ip()).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}
