//! `kubeconfig`: a kubeconfig that works now, by the VIP if that is good, else by the first server that is.

mod said;

use std::convert::Infallible;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{MissedTickBehavior, interval};

use crate::cluster::{API_PORT, Access, Candidate, Choice, ROUNDS_THAT_AGREE, Steady, candidates};
use crate::inventory::Inventory;
use crate::probe::ssh::{Destination, Ssh};
use crate::probe::tls::Client;
use crate::probe::ways::{Tried, try_all};

use super::first_server::{first_to_give, read};
use super::target::{Target, read_at_most};
use super::{Ended, InventoryArg};
use said::{Said, to_json, to_text};

/// Between two rounds of `--watch`; three of them outlast a failover (docs/failover.md).
const ROUND: Duration = Duration::from_secs(3);
/// k3s.yaml has 3 KiB.
const K3S_YAML_BYTES_MAX: u64 = 1024 * 1024;
const K3S_YAML: &str = "/etc/rancher/k3s/k3s.yaml";

/// Write a kubeconfig that works now: by the VIP if it is good, else by the first control plane that is
///
/// Good means: it takes the connection, its certificate is from the cluster's CA and for this address, and /readyz
/// answers 200 to the client certificate. All are tried at once; the decision takes at most 3 s. Without --out and
/// --merge it only says what it would choose. Exit status 1: nobody is good, and nothing was written.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").args(["from", "ssh"]).required(true))]
pub struct KubeconfigArgs {
    #[command(flatten)]
    inventory: InventoryArg,

    /// The cluster's kubeconfig, as k3s wrote it to /etc/rancher/k3s/k3s.yaml; - is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Fetch it over ssh with `sudo cat`; without a host from the first control plane that answers
    #[arg(long, value_name = "[USER@]HOST", num_args = 0..=1)]
    ssh: Option<Option<Destination>>,

    /// The file to write, mode 0600, over nothing but this cluster's own kubeconfig; with --merge it is $KUBECONFIG or ~/.kube/config if left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Fold the cluster into the file, and leave everything else in it as it is, comments too
    #[arg(long)]
    merge: bool,

    /// What cluster, user and context are called; if left out, network.control_planes_name or the VIP
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    context: Option<String>,

    /// Go on, and write again when another server has to be used, until SIGTERM
    #[arg(long)]
    watch: bool,

    /// Say it as JSON; with --watch one line each time something was written
    #[arg(long)]
    json: bool,
}

fn parse_name(text: &str) -> Result<String, &'static str> {
    // Neither YAML nor a terminal takes them as they are.
    match text.is_empty() || text.contains(char::is_control) {
        true => Err("a name has one character at least, and no control characters"),
        false => Ok(text.to_owned()),
    }
}

/// What to do, all questions answered.
struct Task {
    inventory: Inventory,
    candidates: Vec<Candidate>,
    access: Access,
    client: Client,
    name: String,
    /// With its path as the user knows it.
    target: Option<(PathBuf, Target)>,
    merge: bool,
    json: bool,
}

pub fn run(args: KubeconfigArgs) -> anyhow::Result<ExitCode> {
    let inventory = args.inventory.read()?;
    let target = match (&args.out, args.merge) {
        (Some(out), _) => Some(out.clone()),
        (None, true) => Some(own_kubeconfig()?),
        (None, false) if args.watch => bail!("--watch needs a file to keep right; say --out FILE or --merge"),
        (None, false) => None,
    };
    let target = target.map(|path| Ok::<_, anyhow::Error>((path.clone(), Target::at(&path)?))).transpose()?;
    let result = super::wait_for(async {
        let (file, bytes) = source(&args, &inventory).await?;
        let access = Access::read(&file, &bytes).map_err(super::refusal)?;
        let client = Client::with(&access).map_err(super::refusal)?;
        if let Some(soon) = access.check_dates(super::now()).map_err(super::refusal)? {
            super::tell(&format!("warning: {}; {}\n", soon.message, soon.help));
        }
        let name = args.context.clone().unwrap_or_else(|| usual_name(&inventory));
        let candidates = candidates(&inventory);
        let task =
            Task { inventory, candidates, access, client, name, target, merge: args.merge, json: args.json };
        if args.watch {
            match task.watch().await? {}
        }
        task.once().await
    });
    match result {
        // That is how it ends.
        Err(error) if args.watch && error.is::<Ended>() => Ok(ExitCode::SUCCESS),
        result => result?,
    }
}

impl Task {
    async fn round(&self) -> (Vec<Tried>, Choice) {
        try_all(&self.client, &self.inventory, &self.candidates, API_PORT).await
    }

    async fn once(&self) -> anyhow::Result<ExitCode> {
        let (tried, choice) = self.round().await;
        let chosen = if let Choice::Use(place) = choice { Some(place) } else { None };
        let wrote = chosen.map(|place| self.write(place)).transpose()?.unwrap_or(false);
        self.say(&tried, chosen, wrote)?;
        Ok(if chosen.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Until a signal ends it.
    async fn watch(&self) -> anyhow::Result<Infallible> {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut steady = Steady::default();
        let (mut current, mut trouble, mut is_first, mut nobody) = (None, None, true, 0);
        loop {
            rounds.tick().await;
            let (tried, choice) = self.round().await;
            let turned = steady.round(choice);
            nobody = if choice == Choice::Nobody { nobody + 1 } else { 0 };
            if nobody == ROUNDS_THAT_AGREE {
                if current.is_some() {
                    super::tell("nobody is good any more; what is wrong with each:\n");
                    self.say(&tried, None, false)?;
                }
                self.access.check_dates(super::now()).map_err(super::refusal)?;
            }
            current = turned.or(current);
            // Only then: a namespace that is set in it by hand is to stay.
            let is_due = turned.is_some() || trouble.is_some() || self.is_file_gone();
            let written = match current.filter(|_| is_due) {
                Some(place) => self.write(place),
                None => Ok(false),
            };
            let wrote = match written {
                Ok(wrote) => {
                    trouble = None;
                    wrote
                }
                // What is wrong from the start is the user's to know at once; what comes later may pass.
                Err(error) if is_first => return Err(error),
                Err(error) => {
                    let said = format!("error: {error:#}; it is tried again\n");
                    if trouble.as_ref() != Some(&said) {
                        super::tell(&said);
                    }
                    trouble = Some(said);
                    false
                }
            };
            if wrote || turned.is_some() || is_first {
                self.say(&tried, current, wrote)?;
            }
            is_first = false;
        }
    }

    fn is_file_gone(&self) -> bool {
        self.target.as_ref().is_some_and(|(_, target)| target.is_gone())
    }

    /// Whether that changed the file.
    fn write(&self, place: usize) -> anyhow::Result<bool> {
        let Some((shown, target)) = &self.target else { return Ok(false) };
        let (file, server) = (shown.display().to_string(), self.candidates[place].server());
        target.replace(|old| {
            let old = old.unwrap_or_default();
            if self.merge {
                let text = std::str::from_utf8(old).with_context(|| format!("{file} is not UTF-8"))?;
                return self.access.merged_into(&file, text, &self.name, &server).map_err(super::refusal);
            }
            self.access.check_overwrites(&file, old).map_err(super::refusal)?;
            Ok(self.access.kubeconfig(&self.name, &server))
        })
    }

    fn say(&self, tried: &[Tried], chosen: Option<usize>, wrote: bool) -> anyhow::Result<()> {
        let file = self.target.as_ref().map(|(shown, _)| shown.as_path());
        let said = Said { tried, chosen, name: &self.name, file, wrote };
        super::print(if self.json { to_json(&said)? } else { to_text(&said) }.as_bytes())
    }
}

/// The name of what is reached: that of the VIP in DNS, else its address.
fn usual_name(inventory: &Inventory) -> String {
    match &inventory.network.control_planes_name {
        Some(name) => name.to_string(),
        None => inventory.vips.primary().to_string(),
    }
}

/// The file that kubectl reads.
fn own_kubeconfig() -> anyhow::Result<PathBuf> {
    let files: Vec<PathBuf> = std::env::var_os("KUBECONFIG")
        .map(|list| std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    match (files.as_slice(), std::env::var_os("HOME")) {
        ([file], _) => Ok(file.clone()),
        ([], Some(home)) => Ok(Path::new(&home).join(".kube/config")),
        ([], None) => bail!("neither KUBECONFIG nor HOME is set; say --out FILE"),
        _ => bail!("KUBECONFIG names several files; say which one with --out FILE"),
    }
}

/// The kubeconfig to start from, and what to call it in messages.
async fn source(args: &KubeconfigArgs, inventory: &Inventory) -> anyhow::Result<(String, Vec<u8>)> {
    match (&args.from, &args.ssh) {
        (Some(file), _) if file.as_os_str() == "-" => {
            // On a thread of its own, so that an interrupt is heard meanwhile.
            let reading = tokio::task::spawn_blocking(|| {
                let mut bytes = Vec::new();
                io::stdin().take(K3S_YAML_BYTES_MAX + 1).read_to_end(&mut bytes).map(|_| bytes)
            });
            let bytes = reading.await?.context("cannot read standard input")?;
            if bytes.len() as u64 > K3S_YAML_BYTES_MAX {
                bail!("standard input is longer than a k3s.yaml, {K3S_YAML_BYTES_MAX} bytes");
            }
            Ok(("standard input".into(), bytes))
        }
        (Some(file), _) => {
            let shown = file.display().to_string();
            let bytes = read_at_most(file, K3S_YAML_BYTES_MAX).with_context(|| {
                format!("cannot read {shown}; on a server it is {K3S_YAML}, and --ssh fetches it from there")
            })?;
            Ok((shown, bytes))
        }
        (None, Some(Some(destination))) => {
            let destination = destination.clone().in_inventory(inventory);
            let shown = format!("{K3S_YAML} of {destination}");
            Ok((shown, read(&Ssh::to(destination)?, K3S_YAML).await?))
        }
        (None, _) => {
            let (server, bytes) = first_to_give(inventory.control_planes(), K3S_YAML).await?;
            Ok((format!("{K3S_YAML} of {server}"), bytes))
        }
    }
}
