//! `man`: the pages, from the same definition as the help.

use std::process::ExitCode;

use anyhow::Context;
use clap_mangen::Man;

/// Print the man page of pxe-serve, or of one of its verbs
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The verb whose page it is, one word or two; without one, the page of pxe-serve itself. Read it with `… | man -l -`
    #[arg(value_name = "VERB")]
    verb: Vec<String>,
}

pub fn run(args: ManArgs) -> anyhow::Result<ExitCode> {
    // Built: each verb then knows its full name, `pxe-serve-render`, which is how its page is called.
    let mut command = super::command();
    command.build();
    for verb in args.verb {
        let found = command.find_subcommand(&verb).cloned();
        command = found.with_context(|| format!("there is no verb {verb:?}; see `pxe-serve --help`"))?;
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    super::print(&page)?;
    Ok(ExitCode::SUCCESS)
}
