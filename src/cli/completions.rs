//! `completions`: for the shells, from the same definition as the help.

use std::process::ExitCode;

use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell it is for; bash: `pxe-serve completions bash > /etc/bash_completion.d/pxe-serve`
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

pub fn run(args: CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "pxe-serve", &mut script);
    super::print(&script)?;
    Ok(ExitCode::SUCCESS)
}
