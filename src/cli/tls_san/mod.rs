//! `tls-san`: the names and addresses that the servers' certificates show, against those that the inventory demands.

mod apply;
mod check;

use std::process::ExitCode;

/// The names and addresses in the API servers' certificates
#[derive(Debug, clap::Args)]
pub struct TlsSanArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Check(check::CheckArgs),
    Apply(apply::ApplyArgs),
}

pub fn run(args: TlsSanArgs) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Check(args) => check::run(args),
        What::Apply(args) => apply::run(args),
    }
}
