//! `show`: one artifact on stdout, byte for byte as `curl` would get it; or what there is to know about a host.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::catalogue::{Audience, MANIFEST_PATH};
use crate::cluster::before_reinstall;
use crate::document::suggest;
use crate::generation::Generation;
use crate::inventory::{BootPolicy, Host};

use super::SourceArgs;

/// Print one artifact exactly as it would be served, or what there is for a host
///
/// `pxe/ipxe/HOST.ipxe` is the script by the inventory's `boot:` alone; `serve` answers by what happened to the host, see
/// `pxe-serve hosts`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    #[command(flatten)]
    sources: SourceArgs,

    /// An artifact's URL, or the path of it, such as /pxe/configs/keepalived-lenovo1.conf; or a host's name: its files,
    /// and the commands that a cluster needs before the host is reinstalled
    #[arg(value_name = "PATH|HOST")]
    path: String,
}

pub fn run(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let generation = args.sources.generation()?;
    // Copied from a log or a config, it comes as a URL.
    let path = args.path.strip_prefix(generation.inventory.router.base_url.as_str()).unwrap_or(&args.path);
    let path = path.split('?').next().unwrap_or(path);
    let path = path.strip_prefix('/').unwrap_or(path);
    if let Some(artifact) = generation.catalogue.get(path) {
        super::print(artifact.bytes())?;
    } else if let Some((path, _)) = generation.catalogue.static_files.get_key_value(path)
        && let Some((folder, name)) = generation.place_of_static(path)
    {
        let file = folder.join(name);
        let mut file = File::open(&file).with_context(|| format!("cannot open {}", file.display()))?;
        match io::copy(&mut file, &mut io::stdout().lock()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            copied => drop(copied.with_context(|| format!("cannot copy {} to stdout", args.path))?),
        }
    } else if let Some(host) = generation.inventory.host(path) {
        super::print(about(&generation, host).as_bytes())?;
    } else {
        bail!("there is no /{path}; {}", hint(&generation, path));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shell, so that it can be copied or run as a whole.
fn about(generation: &Generation, host: &Host) -> String {
    let inventory = &generation.inventory;
    let boots = match host.boot {
        BootPolicy::InstallOnce => "installs once when it is armed, else starts from its disk",
        BootPolicy::Install => "installs each time",
        BootPolicy::Live => "runs from memory",
        BootPolicy::Local => "starts from its disk",
    };
    let role = if host.is_control_plane() { "control plane" } else { "worker" };
    let joined = |words: &mut dyn Iterator<Item = String>| words.collect::<Vec<_>>().join(", ");
    let addresses = joined(&mut host.addresses.iter().map(|address| address.to_string()));
    let macs = joined(&mut host.macs.iter().map(|mac| mac.to_string()));
    let mut text = format!("# {}: {role}, {addresses}, {macs}\n", host.name);
    let _ = writeln!(text, "# Booted from the network it {boots}.\n#\n# For this host alone:");
    let own = Audience::host(&host.name);
    for (path, _) in generation.catalogue.iter().filter(|(_, artifact)| artifact.audience == own) {
        let _ = writeln!(text, "#   {}/{path}", inventory.router.base_url);
    }
    let _ = writeln!(text, "\n# Before a reinstall, in the cluster:");
    text + &before_reinstall(inventory, host)
}

fn hint(generation: &Generation, wanted: &str) -> String {
    let artifacts = generation.catalogue.iter().map(|(path, _)| path);
    let paths: Vec<_> = artifacts.chain(generation.catalogue.static_files.keys()).collect();
    // A bare file name is a common short form of its path.
    if let Some(path) = paths.iter().find(|path| path.file_name() == wanted) {
        return format!("did you mean `{path}`?");
    }
    let paths: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
    suggest(wanted, &paths).unwrap_or_else(|| format!("`pxe-serve show {MANIFEST_PATH}` lists what there is"))
}
