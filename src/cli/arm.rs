//! `arm`: a host may be installed again, or no more.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use hyper::Method;

use crate::ids::HostName;
use crate::server::Arm;

use super::ask::ServerArgs;

/// Let a host be installed at its next network boot, whatever `boot` in the inventory says
///
/// Once: when the install is reported, or the time is over, the inventory counts again.
#[derive(Debug, clap::Args)]
pub struct ArmArgs {
    /// Its name in the inventory
    #[arg(value_name = "HOST", value_parser = parse_name)]
    host: HostName,

    /// How long: 30m, 2h, at most 7days
    #[arg(long = "for", value_name = "TIME", default_value = "30m", value_parser = humantime::parse_duration)]
    time: Duration,

    /// With the config that starts a new cluster, although there was one already
    #[arg(long)]
    bootstrap: bool,

    /// Take it back
    #[arg(long, conflicts_with_all = ["time", "bootstrap"])]
    off: bool,

    #[command(flatten)]
    server: ServerArgs,
}

fn parse_name(text: &str) -> Result<HostName, String> {
    text.parse().map_err(|error| format!("{error}"))
}

pub fn run(args: ArmArgs) -> anyhow::Result<ExitCode> {
    let path = format!("/pxe/hosts/{}/arm", args.host);
    let wanted = Arm { for_seconds: Some(args.time.as_secs()), bootstrap: args.bootstrap };
    let (method, body) = match args.off {
        true => (Method::DELETE, Vec::new()),
        false => (Method::POST, serde_json::to_vec(&wanted)?),
    };
    args.server.ask(method, &path, body.into())?;
    let roster = args.server.roster()?;
    super::tell(&roster.broken.as_deref().map(super::hosts::broken).unwrap_or_default());
    let host = roster.hosts.iter().find(|host| host.name == args.host);
    let host = host.with_context(|| format!("{} has left the inventory meanwhile", args.host))?;
    super::print(
        format!("{} boots from the network: {} ({})\n", host.name, host.boots, host.why).as_bytes(),
    )?;
    if !args.off && host.history.installed.is_some() {
        super::tell(&format!(
            "{0} was installed before: first take it out of the cluster, see `pxe-serve show {0} --static DIR` and `pxe-serve prepare-reinstall {0}`\n",
            host.name
        ));
    }
    Ok(ExitCode::SUCCESS)
}
