//! `token fetch`: the cluster's token, from a server into the file that the inventory names, seen by nobody on the way.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::inventory::{Host, Inventory, K3sToken, SecretReference};

use super::first_server::first_to_give;
use super::target::Target;
use super::{InventoryArg, refusal};

/// Where k3s servers keep it, in its full form.
const NODE_TOKEN: &str = "/var/lib/rancher/k3s/server/node-token";

/// The token that joins nodes to the cluster
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Fetch(FetchArgs),
}

/// Fetch the token from the first server that answers over ssh, into the file that k3s.token names
///
/// The file gets mode 0600. One that holds another cluster's token stays as it is.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    #[command(flatten)]
    inventory: InventoryArg,

    /// Ask this server, instead of the first that answers
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

pub fn run(args: TokenArgs) -> anyhow::Result<ExitCode> {
    let What::Fetch(args) = args.what;
    let inventory = args.inventory.read()?;
    let path = file(&inventory, &args.inventory.file)?;
    let servers = servers(&inventory, args.host.as_deref())?;
    let (server, token) = super::wait_for(fetch(servers))??;
    let target = Target::at(&path)?;
    let written = target.replace(|old| match old {
        // Nothing in it is what `touch` makes.
        None | Some([]) => Ok(format!("{}\n", token.as_str())),
        Some(old) => {
            let old = std::str::from_utf8(old).unwrap_or_default();
            if K3sToken::parse(old).is_ok_and(|old| old.is_same(&token)) {
                return Ok(old.to_owned());
            }
            bail!(
                "{} holds another token than {server}; if that one is right, move the file away first",
                path.display()
            )
        }
    })?;
    let what = if written { "written, for you alone" } else { "it is there already" };
    super::tell(&format!("{}: the token of {server}; {what}\n", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Where it goes.
fn file(inventory: &Inventory, inventory_file: &Path) -> anyhow::Result<PathBuf> {
    match &inventory.k3s.token.value {
        SecretReference::File(file) => Ok(inventory_file.parent().unwrap_or(Path::new("")).join(file)),
        SecretReference::Env(name) => bail!(
            "k3s.token is the environment variable {name}, which nobody else can set; write `token: {{file: secrets/k3s-token}}`"
        ),
    }
}

fn servers<'i>(inventory: &'i Inventory, only: Option<&str>) -> anyhow::Result<Vec<&'i Host>> {
    let servers: Vec<&Host> = inventory.control_planes().collect();
    let Some(only) = only else { return Ok(servers) };
    match servers.iter().find(|host| host.name.as_str() == only) {
        Some(host) => Ok(vec![host]),
        None => {
            let names: Vec<&str> = servers.iter().map(|host| host.name.as_str()).collect();
            bail!("{only:?} is no control plane; the inventory has {}", names.join(", "))
        }
    }
}

/// From the first that gives it.
async fn fetch(servers: Vec<&Host>) -> anyhow::Result<(String, K3sToken)> {
    let (server, bytes) = first_to_give(servers, NODE_TOKEN).await?;
    let text = String::from_utf8(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    let text = text.with_context(|| format!("{NODE_TOKEN} of {server} is no text"))?;
    let token =
        K3sToken::parse(&text).map_err(refusal).with_context(|| format!("{NODE_TOKEN} of {server}"))?;
    Ok((server, token))
}
