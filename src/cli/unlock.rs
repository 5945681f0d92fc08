//! `unlock`: the reboot lock of a host that will not come back, released.

use std::process::ExitCode;

use hyper::Method;

use crate::ids::HostName;

use super::ask::OperatorArgs;

/// Release the reboot lock of a host that was told it may reboot and will not say that it is back
///
/// Look first: while it is on its way down or up, the next host may follow it.
#[derive(Debug, clap::Args)]
pub struct UnlockArgs {
    /// Its name in the inventory
    #[arg(value_name = "HOST", value_parser = super::arm::parse_name)]
    host: HostName,

    #[command(flatten)]
    operator: OperatorArgs,
}

pub fn run(args: UnlockArgs) -> anyhow::Result<ExitCode> {
    let path = format!("/pxe/hosts/{}/reboot-lock", args.host);
    super::wait_for(args.operator.answer(Method::DELETE, &path, Default::default()))??;
    super::print(format!("{} holds the reboot lock no more\n", args.host).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
