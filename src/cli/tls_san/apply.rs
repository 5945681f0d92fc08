//! `tls-san apply`: completes the configuration of one server after the other, each restarted only when all others are up.
//!
//! Nothing is remembered between runs: what is left to do is read off the servers, so a run may be ended at any point.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;

use crate::catalogue::Sha256;
use crate::cluster::tls_san::{DropIn, Step, configured, missing, next_step};
use crate::cluster::{API_PORT, Certificate, LOOK, ServerState, listed};
use crate::ids::HostName;
use crate::inventory::{Host, Inventory};
use crate::probe::ssh::{Destination, Remote, Ssh};
use crate::probe::tls;

use super::super::{InventoryArg, refusal};

/// One look: connecting, the API's own patience, and some for a machine that starts.
const LOOK_LIMIT: Duration = Duration::from_secs(20);
/// A certificate is shown within milliseconds, or by nobody.
const CERTIFICATE_LIMIT: Duration = Duration::from_secs(3);
/// Between two looks at a server that starts.
const PAUSE: Duration = Duration::from_secs(1);

/// Restarting returns when k3s says that it has started (`Type=notify`).
const RESTART: &str = "systemctl restart k3s.service";

/// The file, its digest; the contents by stdin. k3s does not read a name that ends in `.new`; cat cannot tell a broken
/// connection from the end.
const WRITE: &str = r#"
set -eu
umask 077
mkdir -p "${1%/*}"
cat >"$1.new"
printf '%s  %s\n' "$2" "$1.new" | sha256sum --check --status || { echo 'the file did not arrive whole' >&2; exit 1; }
sync "$1.new"
mv -f "$1.new" "$1"
sync "${1%/*}"
"#;

/// Bring the inventory's names and addresses into every server's certificate, over ssh, one server at a time
///
/// A server is restarted only if its configuration changed, and only when all others are up; the next follows when it is
/// ready and its certificate shows all. It stops at the first that does not come back. Exit status: 0 all servers show
/// all, 1 a dry run found something to do or to wait for, 2 it stopped.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    inventory: InventoryArg,

    /// Only this server; may be given more than once. The others must be up all the same
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// How long a server may take to come back
    #[arg(long, value_name = "TIME", default_value = "5min", value_parser = humantime::parse_duration)]
    wait: Duration,

    /// What was done, as one JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. Programs read it: keys are added, never renamed.
#[derive(Serialize)]
struct Document<'a> {
    demanded: &'a [String],
    dry_run: bool,
    servers: Vec<Done>,
}

#[derive(Serialize)]
struct Done {
    host: HostName,
    outcome: Outcome,
    /// What its configuration lacked.
    missing: Vec<String>,
    wrote: Option<String>,
    restarted: bool,
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Unchanged,
    Changed,
    WouldChange,
    /// Of a dry run: its configuration is right, its certificate or its API is not yet.
    Waiting,
    Failed,
    /// Not looked at, since one before it failed.
    Left,
}

pub fn run(args: ApplyArgs) -> anyhow::Result<ExitCode> {
    let inventory = args.inventory.read()?;
    let servers: Vec<&Host> = inventory.control_planes().collect();
    let is_chosen =
        |host: &Host| args.hosts.is_empty() || args.hosts.iter().any(|name| name == host.name.as_str());
    if let Some(stranger) =
        args.hosts.iter().find(|name| !servers.iter().any(|host| host.name.as_str() == **name))
    {
        let names: Vec<&str> = servers.iter().map(|host| host.name.as_str()).collect();
        bail!("{stranger:?} is no control plane; the inventory has {}", names.join(", "));
    }
    let demanded = inventory.tls_san();
    let done = super::super::wait_for(async {
        let cluster = Cluster::reach(&inventory, &demanded, args.wait)?;
        let mut done: Vec<Done> = Vec::new();
        for (place, host) in servers.iter().enumerate().filter(|(_, host)| is_chosen(host)) {
            let stopped =
                done.last().is_some_and(|done| matches!(done.outcome, Outcome::Failed | Outcome::Left));
            done.push(if stopped {
                Done::of(host, Outcome::Left)
            } else {
                cluster.complete(place, args.dry_run).await
            });
        }
        anyhow::Ok(done)
    })??;
    let any = |outcome| done.iter().any(|server: &Done| server.outcome == outcome);
    let status = match (any(Outcome::Failed), any(Outcome::WouldChange) || any(Outcome::Waiting)) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    };
    let text = if args.json {
        serde_json::to_string_pretty(&Document { demanded: &demanded, dry_run: args.dry_run, servers: done })?
            + "\n"
    } else {
        to_text(&done)
    };
    super::super::print(text.as_bytes())?;
    Ok(status)
}

fn to_text(done: &[Done]) -> String {
    let mut text = String::new();
    for server in done {
        let what = match (server.outcome, &server.error) {
            (_, Some(error)) => format!("failed: {error}"),
            (Outcome::Left, _) => "left as it is".to_owned(),
            (Outcome::Unchanged, _) => "shows all".to_owned(),
            (Outcome::Waiting, _) => {
                "configured for all, and its certificate or API is not there yet; would be waited for"
                    .to_owned()
            }
            (Outcome::WouldChange, _) if server.missing.is_empty() => "would be restarted".to_owned(),
            (Outcome::WouldChange, _) => {
                format!("lacks {}; would be written and restarted", server.missing.join(", "))
            }
            _ => "changed, shows all".to_owned(),
        };
        let _ = writeln!(text, "{:<16} {what}", server.host.as_str());
    }
    text
}

impl Done {
    fn of(host: &Host, outcome: Outcome) -> Self {
        Done {
            host: host.name.clone(),
            outcome,
            missing: Vec::new(),
            wrote: None,
            restarted: false,
            error: None,
        }
    }
}

struct Cluster<'a> {
    servers: Vec<Server<'a>>,
    demanded: &'a [String],
    wait: Duration,
}

struct Server<'a> {
    host: &'a Host,
    ssh: Ssh,
}

impl<'a> Cluster<'a> {
    fn reach(inventory: &'a Inventory, demanded: &'a [String], wait: Duration) -> anyhow::Result<Self> {
        let mut servers = Vec::new();
        for host in inventory.control_planes() {
            servers.push(Server { host, ssh: Ssh::to(Destination::of(host))? });
        }
        Ok(Cluster { servers, demanded, wait })
    }

    /// Does what is to be done on the server at `place`.
    async fn complete(&self, place: usize, dry_run: bool) -> Done {
        let mut done = Done::of(self.servers[place].host, Outcome::Unchanged);
        if let Err(error) = self.try_to_complete(place, dry_run, &mut done).await {
            done.outcome = Outcome::Failed;
            done.error = Some(format!("{error:#}"));
        }
        done
    }

    async fn try_to_complete(&self, place: usize, dry_run: bool, done: &mut Done) -> anyhow::Result<()> {
        let server = &self.servers[place];
        let (state, certificate) = server.state_and_certificate().await?;
        let step = next_step(&state, certificate.as_ref(), self.demanded).map_err(refusal)?;
        done.missing = missing(self.demanded, &configured(&state.files).map_err(refusal)?);
        if dry_run {
            done.outcome = match step {
                Step::Nothing => Outcome::Unchanged,
                Step::Wait => Outcome::Waiting,
                Step::Write(_) | Step::Restart => Outcome::WouldChange,
            };
            return Ok(());
        }
        let begin = Instant::now();
        match step {
            Step::Nothing => return Ok(()),
            Step::Wait => {}
            Step::Restart => {
                self.others_are_up(place).await?;
                server.restart(self.wait, done).await?;
            }
            Step::Write(drop_in) => {
                self.others_are_up(place).await?;
                server.write(&drop_in, done).await?;
                server.restart(self.wait, done).await?;
            }
        }
        server.comes_back(self.demanded, self.wait.saturating_sub(begin.elapsed())).await
    }

    /// Looks at all of them at once. One that is down already must not get company: etcd would lose its quorum.
    async fn others_are_up(&self, place: usize) -> anyhow::Result<()> {
        let mut looks = tokio::task::JoinSet::new();
        for server in
            self.servers.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, server)| server)
        {
            let (name, ssh) = (server.host.name.clone(), server.ssh.clone());
            looks.spawn(async move {
                let state = look(&ssh).await.map_err(|error| format!("{name}: {error:#}"))?;
                if state.is_up() { Ok(()) } else { Err(format!("{name}: {}", state.complaint())) }
            });
        }
        let mut down: Vec<String> = looks.join_all().await.into_iter().filter_map(Result::err).collect();
        down.sort();
        if !down.is_empty() {
            bail!("not touched, since another server is not up ({}); mend that first", down.join("; "));
        }
        Ok(())
    }
}

impl Server<'_> {
    async fn look(&self) -> anyhow::Result<ServerState> {
        look(&self.ssh).await
    }

    async fn certificate(&self) -> Result<Certificate, crate::cluster::Failure> {
        tls::look(SocketAddr::new(self.host.address(), API_PORT), CERTIFICATE_LIMIT).await
    }

    /// No certificate only of a server that is not active. One that is and cannot be seen from here may be fine: it is not
    /// restarted for that. A second look, since it may have gone down between the two questions.
    async fn state_and_certificate(&self) -> anyhow::Result<(ServerState, Option<Certificate>)> {
        let mut is_second = false;
        loop {
            let state = self.look().await?;
            match self.certificate().await {
                Ok(certificate) => return Ok((state, Some(certificate))),
                Err(_) if !state.is_active() => return Ok((state, None)),
                Err(failure) if is_second => bail!(
                    "not touched, since k3s is active, but its certificate cannot be seen from here: {failure}; {}",
                    failure.remedy()
                ),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            is_second = true;
        }
    }

    async fn write(&self, drop_in: &DropIn, done: &mut Done) -> anyhow::Result<()> {
        let path = drop_in.path();
        self.say(&format!("lacks {}; writing {path}", done.missing.join(", ")));
        let digest = Sha256::of(drop_in.contents.as_bytes()).to_string();
        let input = drop_in.contents.as_bytes();
        self.ssh
            .run(Remote { script: WRITE, arguments: &[&path, &digest], input, limit: LOOK_LIMIT })
            .await?;
        done.wrote = Some(path);
        done.outcome = Outcome::Changed;
        Ok(())
    }

    async fn restart(&self, limit: Duration, done: &mut Done) -> anyhow::Result<()> {
        self.say("restarting k3s");
        self.ssh.run(Remote { script: RESTART, arguments: &[], input: &[], limit }).await?;
        done.restarted = true;
        done.outcome = Outcome::Changed;
        Ok(())
    }

    /// Until it is ready and shows all, or the time is over.
    async fn comes_back(&self, demanded: &[String], limit: Duration) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            let why = match (self.look().await, self.certificate().await) {
                (Err(error), _) => format!("{error:#}"),
                (Ok(state), _) if !state.is_up() => state.complaint(),
                (Ok(_), Err(failure)) => {
                    format!("its certificate cannot be seen: {failure}; {}", failure.remedy())
                }
                (Ok(_), Ok(certificate)) => match certificate.lacks(demanded).as_slice() {
                    [] => break,
                    lacking => format!("k3s is ready, but its certificate lacks {}", listed(lacking)),
                },
            };
            let waited = begin.elapsed();
            if waited >= limit {
                bail!("not back after {} s: {why}; look at `journalctl -u k3s` there", waited.as_secs());
            }
            self.waiting(&why, waited);
            tokio::time::sleep(PAUSE).await;
        }
        self.say(&format!("ready after {} s, shows all", begin.elapsed().as_secs()));
        Ok(())
    }

    fn say(&self, what: &str) {
        let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        super::super::tell(&format!("{clear}{}: {what}\n", self.host.name));
    }

    /// One line that changes, for who looks at it; nothing in a log.
    fn waiting(&self, why: &str, waited: Duration) {
        if io::stderr().is_terminal() {
            super::super::tell(&format!("\r\x1b[K{}: {} s: {why}", self.host.name, waited.as_secs()));
        }
    }
}

async fn look(ssh: &Ssh) -> anyhow::Result<ServerState> {
    let answer = ssh.run(Remote { script: LOOK, arguments: &[], input: &[], limit: LOOK_LIMIT }).await?;
    ServerState::parse(&answer).map_err(refusal)
}
