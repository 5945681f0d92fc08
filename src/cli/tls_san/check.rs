//! `tls-san check`: what the servers and the VIP show, against what the inventory demands.

use std::net::IpAddr;
use std::process::ExitCode;

use serde::Serialize;

use crate::cluster::{
    API_PORT, Certificate, Difference, Holder, Shown, Verdict, addresses, difference, holder, subject,
    verdicts,
};
use crate::inventory::Inventory;
use crate::probe::neighbours::neighbours;
use crate::probe::tls;
use crate::probe::ways::LIMIT;

use super::super::{InventoryArg, now, print, verdicts as said_as, wait_for};

/// Compare what every server and the VIP really show with what the inventory demands
///
/// It looks only: nothing is trusted, and no credentials are sent. Exit status: 0 they agree, 1 they differ, 2 no
/// server showed a certificate.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    inventory: InventoryArg,

    /// Say it as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` has beside the verdicts.
#[derive(Serialize)]
struct Document<'a> {
    demanded: Vec<String>,
    shown: Vec<Row<'a>>,
    vips: Vec<Held>,
}

#[derive(Serialize)]
struct Row<'a> {
    subject: String,
    address: IpAddr,
    #[serde(flatten)]
    difference: Option<Difference>,
    certificate: Option<&'a Certificate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

#[derive(Serialize)]
struct Held {
    vip: IpAddr,
    #[serde(flatten)]
    holder: Holder,
}

pub fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let inventory = args.inventory.read()?;
    let shown = wait_for(look(&inventory))?;
    let now = now();
    let mut said: Vec<Verdict> = shown.iter().flat_map(|shown| verdicts(&inventory, shown, now)).collect();
    let neighbours = neighbours();
    let held = |vip: &IpAddr| Held { vip: *vip, holder: holder(&inventory, *vip, &shown, &neighbours) };
    let vips: Vec<Held> = inventory.vips.control_planes.iter().map(held).collect();
    said.extend(vips.iter().filter_map(|held| match &held.holder {
        Holder::Mac { host } | Holder::Certificate { host } => {
            Some(Verdict::fine("vip", held.vip, format!("held by {host}")))
        }
        _ => None,
    }));
    let text = if args.json {
        let rows = shown.iter().map(|shown| Row {
            subject: subject(&shown.via, shown.address),
            address: shown.address,
            difference: shown.certificate.as_ref().ok().map(|shown| difference(&inventory, shown, now)),
            certificate: shown.certificate.as_ref().ok(),
            failure: shown.certificate.as_ref().err().map(ToString::to_string),
        });
        let document = Document { demanded: inventory.tls_san(), shown: rows.collect(), vips };
        said_as::to_json(&said, document)?
    } else {
        said_as::to_text(&said)
    };
    print(text.as_bytes())?;
    if shown.iter().all(|shown| shown.certificate.is_err()) {
        return Ok(ExitCode::from(2));
    }
    Ok(said_as::exit(&said))
}

/// All at once.
async fn look(inventory: &Inventory) -> Vec<Shown> {
    let looks = addresses(inventory).into_iter().map(|(via, address)| {
        tokio::spawn(async move {
            let certificate = tls::look((address, API_PORT).into(), LIMIT).await;
            Shown { via, address, certificate }
        })
    });
    let looks: Vec<_> = looks.collect();
    let mut shown = Vec::new();
    for look in looks {
        shown.extend(look.await);
    }
    shown
}
