//! A file of the first control plane that gives it: all are asked at once, so that several that are off cost the time of one.

use std::time::Duration;

use anyhow::bail;
use tokio::task::JoinSet;

use crate::inventory::Host;
use crate::probe::ssh::{Destination, Remote, Ssh};

/// sshd answers at once, or asks a DNS server that is away for the client's name: resolv.conf(5) gives that 5 s, twice.
const LIMIT: Duration = Duration::from_secs(10);

/// The contents of `path` as root sees it, and who gave them: of those that do, the first in this order.
pub async fn first_to_give(
    servers: impl IntoIterator<Item = &Host>,
    path: &'static str,
) -> anyhow::Result<(String, Vec<u8>)> {
    let mut asked = JoinSet::new();
    let mut answers = Vec::new();
    for (place, host) in servers.into_iter().enumerate() {
        let ssh = Ssh::to(Destination::of(host))?;
        asked.spawn(async move { (place, read(&ssh, path).await) });
        answers.push((host.name.to_string(), None));
    }
    while let Some(answered) = asked.join_next().await {
        let (place, answer) = answered?;
        answers[place].1 = Some(answer);
        // Whoever stands before it has answered as well, and not given it.
        let first = answers.iter().position(|(_, answer)| !matches!(answer, Some(Err(_))));
        if let Some(first) = first
            && let (name, Some(Ok(bytes))) = &mut answers[first]
        {
            let found = (std::mem::take(name), std::mem::take(bytes));
            // So that no ssh outlives this.
            asked.shutdown().await;
            return Ok(found);
        }
    }
    let why: Vec<String> =
        answers.into_iter().filter_map(|(_, answer)| Some(format!("{:#}", answer?.err()?))).collect();
    bail!("no server gave its {path}:\n  {}", why.join("\n  "))
}

/// `path` of one server.
pub async fn read(ssh: &Ssh, path: &str) -> anyhow::Result<Vec<u8>> {
    Ok(ssh.run(Remote { script: "cat \"$1\"", arguments: &[path], input: &[], limit: LIMIT }).await?)
}
