//! `prepare-reinstall`: what has to happen in the cluster before a machine is installed anew, shown before it is done.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hyper::Method;

use crate::cluster::boot_entries::{NetworkEntry, network_entry};
use crate::cluster::node::{ETCD_REMOVE, Node, can_spare, node_of, parse_nodes};
use crate::cluster::preparation::{Planned, Step, Wish, names_in_known_hosts, plan};
use crate::inventory::{Host, Inventory};
use crate::probe::kubectl::Kubectl;
use crate::probe::ssh::{self, Destination, Remote, Ssh};

use super::ask::OperatorArgs;
use super::{InventoryArg, refusal};

/// For a question to the API.
const ASK_LIMIT: Duration = Duration::from_secs(20);
/// Pods have 30 s to end by default, some more; disruption budgets let them go one after the other.
const DRAIN_LIMIT: Duration = Duration::from_secs(600);
/// k3s takes a member out within seconds.
const REMOVAL_LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(1);
/// For a reboot into the network by hand, too.
const ARMED_SECONDS: u64 = 30 * 60;
const SSH_LIMIT: Duration = Duration::from_secs(20);

/// https://github.com/k3s-io/k3s/blob/master/pkg/etcd/member_controller.go: its k3s joins anew after a restart.
const KEEP_DOWN: &str =
    "until then, do not restart k3s there nor start it from its disk: it would join etcd again";

/// The reboot begins when the connection has ended, so that its end is no error.
const REBOOT: &str = r#"
efibootmgr --quiet --bootnext "$1" || exit
setsid sh -c 'sleep 1; systemctl reboot' </dev/null >/dev/null 2>&1 &
"#;

/// Take a machine out of the cluster, and let it install anew with its next boot from the network
///
/// Shows the plan, then does it, step by step; run again, it does what is left. It refuses when etcd would lose its
/// majority. The cluster is asked by your own kubectl, the machine by your own ssh.
#[derive(Debug, clap::Args)]
pub struct PrepareReinstallArgs {
    #[command(flatten)]
    inventory: InventoryArg,

    /// The machine, as the inventory names it
    #[arg(value_name = "HOST")]
    host: String,

    /// Do it without asking
    #[arg(long)]
    yes: bool,

    /// Leave a step out; may be given more than once
    #[arg(long, value_name = "STEP", value_parser = step())]
    skip: Vec<Step>,

    /// In the end, start the machine from the network, over ssh
    #[arg(long)]
    reboot: bool,

    #[command(flatten)]
    operator: OperatorArgs,

    /// The kubeconfig for kubectl, instead of kubectl's own choice
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context for kubectl, instead of the current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

fn step() -> impl clap::builder::TypedValueParser<Value = Step> {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    let named = |name: String| Step::ALL.into_iter().find(|step| step.name() == name);
    PossibleValuesParser::new(Step::ALL.map(Step::name))
        .try_map(move |name| named(name).ok_or("no such step"))
}

pub fn run(args: PrepareReinstallArgs) -> anyhow::Result<ExitCode> {
    let inventory = args.inventory.read()?;
    let Some(host) = inventory.host(&args.host) else {
        let names: Vec<&str> = inventory.hosts.iter().map(|host| host.name.as_str()).collect();
        bail!("there is no host {:?}; the inventory has {}", args.host, names.join(", "));
    };
    let kubectl = Kubectl::new(args.kubeconfig.as_deref(), args.context.as_deref());
    let mut preparation =
        Preparation { inventory: &inventory, host, node: None, kubectl, operator: &args.operator };
    super::wait_for(async {
        let wish = Wish { skip: args.skip.clone(), reboot: args.reboot };
        let context = preparation.kubectl.context(ASK_LIMIT).await?;
        let nodes = preparation.nodes().await?;
        let plan = plan(&inventory, host, &context, &nodes, &wish).map_err(refusal)?;
        preparation.node = node_of(&nodes, host, &inventory.network).map(|node| node.name.clone());
        super::print(to_text(host, preparation.node.as_deref(), &context, &plan).as_bytes())?;
        let does = |step| plan.iter().any(|planned| planned.step == step && planned.not.is_none());
        if does(Step::Arm) {
            preparation
                .can_arm()
                .await
                .context("arm would fail, so nothing was done; mend that, or leave it out with --skip arm")?;
        }
        if does(Step::Reboot) {
            let check = preparation.network_boot().await;
            check.context(
                "reboot would fail, so nothing was done; mend that, or do it by hand, without --reboot",
            )?;
        }
        if !args.yes && !agreed().await? {
            bail!("nothing was done");
        }
        // Also by an earlier run: `--skip etcd-member` says so.
        let mut is_member_out = host.is_control_plane() && args.skip.contains(&Step::EtcdMember);
        for planned in plan.iter().filter(|planned| planned.not.is_none()) {
            super::tell(&format!("{} …\n", planned.step.name()));
            let name = planned.step.name();
            preparation.carry_out(planned.step).await.with_context(|| match (planned.step, is_member_out) {
                (Step::EtcdMember, _) => format!(
                    "{name} failed; run it again when that is mended, or with --skip {name}; the member may go even so: {KEEP_DOWN}"
                ),
                (_, false) => {
                    format!("{name} failed; run it again when that is mended, or with --skip {name}")
                }
                (_, true) => format!(
                    "{name} failed; run it again with --skip etcd-member, which is done, when that is mended; {KEEP_DOWN}"
                ),
            })?;
            is_member_out = match planned.step {
                Step::EtcdMember => true,
                // It starts anew, and not from its disk.
                Step::Reboot => false,
                _ => is_member_out,
            };
        }
        super::tell(&format!("{}: ready to be installed anew\n", host.name));
        if is_member_out {
            super::tell(&format!("{KEEP_DOWN}\n"));
        }
        anyhow::Ok(ExitCode::SUCCESS)
    })?
}

fn to_text(host: &Host, node: Option<&str>, context: &str, plan: &[Planned]) -> String {
    let node = node.map(|node| format!("the node {node} ")).unwrap_or_default();
    let mut text = format!("{}, {node}in the cluster of kubectl's context {context:?}:\n", host.name);
    for Planned { step, not } in plan {
        let name = step.name();
        let _ = match not {
            None => writeln!(text, "  do    {name:<14} {}", step.purpose()),
            Some(why) => writeln!(text, "  leave {name:<14} {why}"),
        };
    }
    text
}

async fn agreed() -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("nobody is here to ask; --yes does it without asking");
    }
    super::tell("Do it? [y/N] ");
    // On a thread of its own, so that an interrupt is heard meanwhile.
    let reading = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    let answer = reading.await??;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

struct Preparation<'a> {
    inventory: &'a Inventory,
    host: &'a Host,
    /// What the cluster calls it, while it has it.
    node: Option<String>,
    kubectl: Kubectl,
    operator: &'a OperatorArgs,
}

impl Preparation<'_> {
    async fn nodes(&self) -> anyhow::Result<Vec<Node>> {
        let list = self.kubectl.run(&["get", "nodes", "--output=json"], ASK_LIMIT).await?;
        parse_nodes(&list).map_err(refusal)
    }

    /// Whether there is a server that arms, which knows the host: it answers this to the same as that.
    async fn can_arm(&self) -> anyhow::Result<()> {
        let roster = self.operator.roster_answer().await?;
        if let Some(reason) = &roster.broken {
            bail!("{}", super::hosts::broken(reason).trim());
        }
        if !roster.hosts.iter().any(|entry| entry.name == self.host.name) {
            bail!("its inventory has no host {}", self.host.name);
        }
        Ok(())
    }

    async fn carry_out(&self, step: Step) -> anyhow::Result<()> {
        let name = self.node_name();
        if step.costs_a_member() {
            // Since the plan there was a question and a drain: another server may have gone.
            can_spare(&self.nodes().await?, name).map_err(refusal)?;
        }
        match step {
            Step::Drain => {
                let timeout = format!("--timeout={}s", DRAIN_LIMIT.as_secs());
                let drain = ["drain", name, "--ignore-daemonsets", "--delete-emptydir-data", &timeout];
                self.kubectl.run(&drain, DRAIN_LIMIT + ASK_LIMIT).await?;
            }
            Step::EtcdMember => self.remove_etcd_member().await?,
            Step::DeleteNode => {
                let timeout = format!("--timeout={}s", REMOVAL_LIMIT.as_secs());
                let delete = ["delete", "node", name, "--ignore-not-found", &timeout];
                self.kubectl.run(&delete, REMOVAL_LIMIT + ASK_LIMIT).await?;
            }
            Step::NodePassword => {
                let delete = ["--namespace=kube-system", "delete", "secret", "--ignore-not-found"];
                let secrets = self.node_passwords();
                let secrets = secrets.iter().map(String::as_str);
                self.kubectl.run(&delete.into_iter().chain(secrets).collect::<Vec<_>>(), ASK_LIMIT).await?;
            }
            Step::Arm => {
                let path = format!("/pxe/hosts/{}/arm", self.host.name);
                let body = serde_json::json!({ "for_seconds": ARMED_SECONDS }).to_string();
                self.operator.answer(Method::POST, &path, body.into()).await?;
            }
            Step::Reboot => self.reboot().await?,
            Step::HostKeys => {
                for name in names_in_known_hosts(self.inventory, self.host) {
                    ssh::forget(&name).await?;
                }
            }
        }
        Ok(())
    }

    fn node_name(&self) -> &str {
        self.node.as_deref().unwrap_or(self.host.name.as_str())
    }

    /// When the node is gone, its password lies under the name that it may have had.
    fn node_passwords(&self) -> Vec<String> {
        let names = match &self.node {
            Some(node) => vec![node.clone()],
            None => {
                let fqdn = self.host.fqdn(&self.inventory.network).map(|name| name.to_string());
                [self.host.name.to_string()].into_iter().chain(fqdn).collect()
            }
        };
        names.iter().map(|name| format!("{name}.node-password.k3s")).collect()
    }

    /// k3s' own controller does it, and says so on the node.
    async fn remove_etcd_member(&self) -> anyhow::Result<()> {
        let name = self.node_name();
        self.kubectl.run(&["annotate", "node", name, ETCD_REMOVE, "--overwrite"], ASK_LIMIT).await?;
        let begin = Instant::now();
        loop {
            // With the member, its own API goes: the one that kubectl asks may be that one for a moment.
            let nodes = self.nodes().await;
            let node = nodes.as_ref().ok().map(|nodes| nodes.iter().find(|node| node.name == name));
            if node.is_some_and(|node| node.is_none_or(|node| node.etcd_removed)) {
                return Ok(());
            }
            if begin.elapsed() > REMOVAL_LIMIT {
                nodes?;
                bail!(
                    "k3s did not take the member out in {} s; look at `journalctl -u k3s` on the other servers",
                    REMOVAL_LIMIT.as_secs()
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How to get there, and what its firmware calls a boot from the network.
    async fn network_boot(&self) -> anyhow::Result<(Ssh, NetworkEntry)> {
        let ssh = Ssh::to(Destination::of(self.host))?;
        let list = Remote { script: "efibootmgr -v", arguments: &[], input: &[], limit: SSH_LIMIT };
        let list = ssh.run(list).await?;
        let Some(entry) = network_entry(&String::from_utf8_lossy(&list), &self.host.macs) else {
            bail!(
                "its firmware has no entry that boots from the network; switch that on there, or choose it at the console"
            );
        };
        Ok((ssh, entry))
    }

    async fn reboot(&self) -> anyhow::Result<()> {
        let (ssh, entry) = self.network_boot().await?;
        super::tell(&format!("  next: Boot{} {}\n", entry.number, entry.label));
        ssh.run(Remote { script: REBOOT, arguments: &[&entry.number], input: &[], limit: SSH_LIMIT }).await?;
        Ok(())
    }
}
