//! `doctor`: one look at the living cluster, against the inventory.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::time::Instant;

use crate::catalogue::{Catalogue, MANIFEST_PATH, SHA256SUMS_PATH, Sha256, parse_sum_line};
use crate::cluster::{
    API_PORT, Access, ApiLook, Failure, KUBELET_PORT, KubeletLook, NameLook, Observed, RouterLook, Shown,
    Via, addresses, diagnose,
};
use crate::generation::Loaded;
use crate::ids::DnsName;
use crate::inventory::Inventory;
use crate::load::{self, Hashing, load_with};
use crate::probe::api::{self, Answer};
use crate::probe::neighbours::neighbours;
use crate::probe::tls::{self, Client};
use crate::probe::ways::{LIMIT, resolve};
use crate::probe::web;

use super::SourceArgs;

/// Look at the living cluster once, and say what is not as the inventory has it
///
/// Everything is asked at once, and all of it takes at most 5 s. Nothing is trusted, and no credentials are sent, but
/// those of --kubeconfig to servers that the cluster's CA vouches for. Exit status: 0 fine (notes do not count), 1 warnings
/// or errors, 2 the inventory or the kubeconfig could not be read.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    sources: SourceArgs,

    /// Ask for what needs credentials as well: that servers take this kubeconfig, and their k3s version
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Say it as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    // With the digests of static files that are known: to read images takes longer than the whole look.
    let Loaded { generation, .. } = load_with(&args.sources.sources(), &Arc::default(), Hashing::Later);
    let (inventory, catalogue) = match generation {
        Some(generation) => (generation.inventory, Some(generation.catalogue)),
        None => {
            let (inventory, report) = load::inventory(&args.sources.inventory);
            super::tell(&report.to_text(super::colour(&io::stderr())));
            let shown = args.sources.inventory.display();
            (inventory.ok_or_else(|| anyhow::anyhow!("{shown} cannot be used, see above"))?, None)
        }
    };
    let access = args.kubeconfig.as_ref().map(|file| {
        let bytes = std::fs::read(file)
            .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", file.display()))?;
        Access::read(&file.display().to_string(), &bytes).map_err(super::refusal)
    });
    let access = access.transpose()?;
    let observed = super::wait_for(observe(&inventory, catalogue.as_ref(), access.as_ref()))??;
    let verdicts = diagnose(&inventory, &observed);
    let text = if args.json {
        super::verdicts::to_json(&verdicts, ())?
    } else {
        super::verdicts::to_text(&verdicts)
    };
    super::print(text.as_bytes())?;
    Ok(super::verdicts::exit(&verdicts))
}

/// Everything at once: the slowest answer is how long it takes.
async fn observe(
    inventory: &Inventory,
    catalogue: Option<&Catalogue>,
    access: Option<&Access>,
) -> anyhow::Result<Observed> {
    let now = super::now();
    let dates = access.map(|access| access.check_dates(now));
    let client = access.map(Client::with).transpose().map_err(super::refusal)?;
    let apis: Vec<_> = addresses(inventory)
        .into_iter()
        .map(|(via, address)| tokio::spawn(look((address, API_PORT).into(), via, client.clone())))
        .collect();
    let kubelets: Vec<_> = inventory
        .control_planes()
        .map(|host| {
            let (host, address) = (host.name.clone(), host.address());
            tokio::spawn(async move {
                let certificate = tls::look((address, KUBELET_PORT).into(), LIMIT).await;
                KubeletLook { host, address, certificate }
            })
        })
        .collect();
    let names: Vec<_> = names(inventory)
        .into_iter()
        .map(|(name, expected)| {
            tokio::spawn(async move {
                let found = resolve(&name, Instant::now() + LIMIT).await;
                NameLook { name, expected, found }
            })
        })
        .collect();
    let url = format!("{}/{SHA256SUMS_PATH}", inventory.router.base_url);
    let served = web::get(&url, LIMIT).await.and_then(|sums| {
        read_sums(&sums).ok_or_else(|| Failure::Broken("that is no list of SHA-256 digests".into()))
    });
    let rendered = catalogue
        .and_then(|catalogue| catalogue.get(SHA256SUMS_PATH))
        .and_then(|sums| read_sums(sums.bytes()));
    let router = RouterLook { url, served, rendered };
    let (mut looks, mut seen, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for look in apis {
        looks.extend(look.await);
    }
    for look in kubelets {
        seen.extend(look.await);
    }
    for look in names {
        found.extend(look.await);
    }
    Ok(Observed { now, dates, apis: looks, kubelets: seen, names: found, router, neighbours: neighbours() })
}

/// The VIP's name and those of the servers.
fn names(inventory: &Inventory) -> Vec<(DnsName, Vec<std::net::IpAddr>)> {
    let vip = inventory.network.control_planes_name.iter();
    let vip = vip.map(|name| (name.clone(), inventory.vips.control_planes.clone()));
    let servers = inventory.control_planes();
    let servers = servers.filter_map(|host| Some((host.fqdn(&inventory.network)?, host.addresses.clone())));
    vip.chain(servers).collect()
}

async fn look(address: SocketAddr, via: Via, client: Option<Client>) -> ApiLook {
    let name = ServerName::IpAddress(address.ip().into());
    let stranger = Client::that_only_looks();
    let ready = api::get(&stranger, address, name.clone(), "/readyz", LIMIT);
    let version = async {
        let client = client?;
        let answer = api::get(&client, address, name.clone(), "/version", LIMIT).await;
        Some(answer.and_then(Answer::ok).and_then(|answer| git_version(&answer.body)))
    };
    let (ready, version) = tokio::join!(ready, version);
    let clock_off = ready.as_ref().ok().and_then(|answer| Some(answer.date? - super::now()));
    ApiLook {
        clock_off,
        version,
        shown: Shown {
            via,
            address: address.ip(),
            certificate: ready.as_ref().map(|answer| answer.certificate.clone()).map_err(Clone::clone),
        },
        ready: ready.map(|answer| answer.status),
    }
}

fn git_version(body: &[u8]) -> Result<String, Failure> {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let version = value["gitVersion"].as_str().map(str::to_owned);
    version.ok_or_else(|| Failure::Broken("/version has no gitVersion".into()))
}

/// Without the manifest, which also lists the files of `--static`, and those may lie elsewhere.
fn read_sums(bytes: &[u8]) -> Option<BTreeMap<String, Sha256>> {
    let sums: Option<BTreeMap<_, _>> = std::str::from_utf8(bytes).ok()?.lines().map(parse_sum_line).collect();
    let mut sums = sums?;
    sums.remove(MANIFEST_PATH);
    Some(sums)
}
