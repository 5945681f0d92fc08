//! `render`: the catalogue as a folder, a tar, or both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;

use crate::bundle::{self, Written};
use crate::catalogue::Catalogue;
use crate::document::suggest;
use crate::generation::Generation;
use crate::ids::HostName;
use crate::inventory::{BootPolicy, Host};

use super::SourceArgs;

/// Write everything to a folder that any static web server can serve unchanged
///
/// The folder is replaced in one step: a reader, or a kill at any moment, sees the whole old or the whole new tree.
/// It is replaced only if all that lies in it was written by pxe-serve. Files that hold a secret get mode 0600.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").args(["out", "tar"]).required(true).multiple(true))]
pub struct RenderArgs {
    #[command(flatten)]
    sources: SourceArgs,

    /// The folder to write, a document root for nginx, uhttpd and the like
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// The tar to write; equal inventories give equal bytes. Unpack it with `tar -xmf`
    #[arg(long, value_name = "FILE")]
    tar: Option<PathBuf>,

    /// Only what this host may have: its own files and everybody's; may be given more than once
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
}

pub fn run(args: RenderArgs) -> anyhow::Result<ExitCode> {
    if args.tar.as_deref() == Some(Path::new("-")) {
        bail!("a tar is not written to stdout; name a file");
    }
    let generation = args.sources.generation()?;
    let catalogue = match args.hosts.as_slice() {
        [] => generation.catalogue.clone(),
        names => generation.catalogue.for_hosts(&known_hosts(&generation, names)?),
    };
    if let Some(dir) = &args.out {
        announce(&catalogue, dir);
        say(bundle::write_tree(&catalogue, dir)?, dir);
    }
    if let Some(file) = &args.tar {
        announce(&catalogue, file);
        say(bundle::write_tar(&catalogue, file)?, file);
    }
    if let Some(warning) = installs_each_time(&generation, &catalogue) {
        super::tell(&warning);
    }
    if !generation.catalogue.static_files.is_empty() {
        let count = generation.catalogue.static_files.len();
        super::tell(&format!(
            "not in it: {count} files of --static; let the web server serve that folder as well\n"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn known_hosts(generation: &Generation, names: &[String]) -> anyhow::Result<BTreeSet<HostName>> {
    let known: Vec<&str> = generation.inventory.hosts.iter().map(|host| host.name.as_str()).collect();
    let mut hosts = BTreeSet::new();
    for name in names {
        let Some(host) = generation.inventory.host(name) else {
            let meant = suggest(name, &known).map(|question| format!("{question} ")).unwrap_or_default();
            bail!("there is no host {name:?}; {meant}the inventory has {}", known.join(", "));
        };
        hosts.insert(host.name.clone());
    }
    Ok(hosts)
}

/// Nobody remembers beside files what was installed.
fn installs_each_time(generation: &Generation, catalogue: &Catalogue) -> Option<String> {
    let once = |host: &&Host| host.boot == BootPolicy::InstallOnce;
    let written = |host: &&Host| catalogue.get(&format!("pxe/ipxe/{}.ipxe", host.name)).is_some();
    let hosts = generation.inventory.hosts.iter().filter(once).filter(written);
    let names: Vec<&str> = hosts.map(|host| host.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!(
            "note: a static server gives {names} the install script at each network boot; once installed, write `boot: local`, or let pxe-serve serve\n"
        )
    })
}

/// A word in advance, only where it will take a while.
fn announce(catalogue: &Catalogue, target: &Path) {
    /// Files that take about a second on a shared two-core machine.
    const MANY: usize = 2_000;
    if catalogue.len() >= MANY {
        super::tell(&format!("writing {} files to {} …\n", catalogue.len(), target.display()));
    }
}

fn say(written: Written, target: &Path) {
    let Written { files, bytes, generation } = written;
    super::tell(&format!("{}: {files} files, {bytes} bytes, generation {generation}\n", target.display()));
}
