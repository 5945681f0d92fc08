//! `arm`: hosts may be installed, or no more.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::Method;

use crate::boot::Roster;
use crate::ids::HostName;
use crate::server::Arm;

use super::ask::OperatorArgs;

/// Let hosts be installed at their next network boot, whatever `boot` in the inventory says
///
/// Once: when the install is reported, or the time is over, the inventory counts again.
#[derive(Debug, clap::Args)]
pub struct ArmArgs {
    /// Their names in the inventory
    #[arg(value_name = "HOST", value_parser = parse_name, required_unless_present = "new")]
    hosts: Vec<HostName>,

    /// Each host with `boot: install_once` that no install is known of; none where some of that knowledge was lost
    #[arg(long, conflicts_with_all = ["hosts", "off", "bootstrap"])]
    new: bool,

    /// How long: 30m, 2h, at most 7days
    #[arg(long = "for", value_name = "TIME", default_value = "30m", value_parser = humantime::parse_duration)]
    time: Duration,

    /// With the config that starts the cluster, although there was one: from a snapshot with `k3s.phase: restore`, else anew
    #[arg(long)]
    bootstrap: bool,

    /// Take it back
    #[arg(long, conflicts_with_all = ["time", "bootstrap"])]
    off: bool,

    #[command(flatten)]
    operator: OperatorArgs,
}

pub fn parse_name(text: &str) -> Result<HostName, String> {
    text.parse().map_err(|error| format!("{error}"))
}

pub fn run(args: ArmArgs) -> anyhow::Result<ExitCode> {
    let (hosts, roster) = super::wait_for(change(&args))??;
    super::tell(&super::hosts::warnings(&roster));
    for name in &hosts {
        let host = roster.hosts.iter().find(|host| host.name == *name);
        let host = host.with_context(|| format!("{name} has left the inventory meanwhile"))?;
        super::print(
            format!("{} boots from the network: {} ({})\n", host.name, host.boots, host.why).as_bytes(),
        )?;
        if !args.off && host.history.installed.is_some() {
            super::tell(&format!(
                "{0} was installed before: first take it out of the cluster, see `pxe-serve show {0} --static DIR` and `pxe-serve prepare-reinstall {0}`\n",
                host.name
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whom it was about, and how things are now.
async fn change(args: &ArmArgs) -> anyhow::Result<(Vec<HostName>, Roster)> {
    let hosts = match args.new {
        true => new_ones(&args.operator.roster_answer().await?)?,
        false => args.hosts.clone(),
    };
    let wanted = Arm { for_seconds: Some(args.time.as_secs()), bootstrap: args.bootstrap };
    for host in &hosts {
        let (method, body) = match args.off {
            true => (Method::DELETE, Vec::new()),
            false => (Method::POST, serde_json::to_vec(&wanted)?),
        };
        args.operator.answer(method, &format!("/pxe/hosts/{host}/arm"), body.into()).await?;
    }
    Ok((hosts, args.operator.roster_answer().await?))
}

fn new_ones(roster: &Roster) -> anyhow::Result<Vec<HostName>> {
    if let Some(doubt) = &roster.doubt {
        bail!("which hosts were never installed is not known: {doubt}; arm them by their names");
    }
    let new: Vec<HostName> =
        roster.hosts.iter().filter(|host| host.is_new).map(|host| host.name.clone()).collect();
    if new.is_empty() {
        bail!(
            "there is no host to arm: of each with `boot: install_once` an install is known, or it is armed; see `pxe-serve hosts`"
        );
    }
    Ok(new)
}
