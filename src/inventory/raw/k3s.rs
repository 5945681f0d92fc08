//! `k3s:` as written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::catalogue::{ArtifactPath, Sha256};
use crate::document::{At, Fields, Item, Value};
use crate::ids::{ComponentName, DnsName, HostName, Invalid, K3sVersion, SnapshotName};
use crate::inventory::model::{Arch, Phase, Restore, SecretReference, Selinux, Snapshots};

use super::{network_address, read_secret};

#[derive(Debug, Default)]
pub struct K3s {
    pub version: Option<At<K3sVersion>>,
    pub token: Option<At<SecretReference>>,
    pub agent_token: Option<At<SecretReference>>,
    pub tls_san: Vec<At<TlsSan>>,
    pub disable: Vec<At<ComponentName>>,
    pub cluster_cidr: Option<At<IpNet>>,
    pub service_cidr: Option<At<IpNet>>,
    pub extra_config: Vec<(At<String>, serde_json::Value)>,
    pub bootstrap_host: Option<At<HostName>>,
    pub phase: Option<At<Phase>>,
    pub selinux: Option<At<Selinux>>,
    pub restore: Option<At<Restore>>,
    pub snapshots: Option<At<Snapshots>>,
    pub binary: Option<At<Binary>>,
    pub install_script: Option<At<ArtifactPath>>,
}

/// The k3s binary: one path, or one for each architecture.
#[derive(Debug, Clone)]
pub enum Binary {
    Only(At<ArtifactPath>),
    ByArch(BTreeMap<Arch, At<ArtifactPath>>),
}

/// A name, a wildcard (`*.lab.internal`) or an address for the certificate beyond those the inventory already knows.
#[derive(Debug, Clone)]
pub struct TlsSan(pub String);

impl std::str::FromStr for TlsSan {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(TlsSan(address.to_string())),
            // One label, at the front, is all that a wildcard may stand for (RFC 6125 §6.4.3).
            Err(_) => {
                let name = text.strip_prefix("*.").unwrap_or(text);
                name.parse::<DnsName>().map(|_| TlsSan(text.to_owned()))
            }
        }
    }
}

pub fn read_k3s(item: &Item<'_>) -> K3s {
    let Some(mut fields) = Fields::of(item) else { return K3s::default() };
    let version = fields.require("version", "write the release every node gets, such as v1.37.0+k3s1");
    let token =
        fields.require("token", "add `token: {file: secrets/k3s-token}`, made with `openssl rand -hex 32`");
    let k3s = K3s {
        version: version.and_then(|item| item.parse()),
        token: token.and_then(|item| read_secret(&item)),
        agent_token: fields.get("agent_token").and_then(|item| read_secret(&item)),
        tls_san: fields.get("tls_san").and_then(|item| item.list_of()).unwrap_or_default(),
        disable: fields.get("disable").and_then(|item| item.list_of()).unwrap_or_default(),
        cluster_cidr: fields.get("cluster_cidr").and_then(|item| network_address(&item)),
        service_cidr: fields.get("service_cidr").and_then(|item| network_address(&item)),
        extra_config: fields.get("extra_config").map(|item| read_extra_config(&item)).unwrap_or_default(),
        bootstrap_host: fields.parse("bootstrap_host"),
        phase: fields.get("phase").and_then(|item| {
            item.choice(&[
                ("bootstrap", Phase::Bootstrap),
                ("restore", Phase::Restore),
                ("reinstall", Phase::Reinstall),
            ])
        }),
        selinux: fields.get("selinux").and_then(|item| {
            let choices = [("none", Selinux::None), ("image", Selinux::Image), ("layered", Selinux::Layered)];
            item.choice(&choices)
        }),
        restore: fields.get("restore").and_then(|item| read_restore(&item)),
        snapshots: fields.get("snapshots").and_then(|item| read_snapshots(&item)),
        binary: fields.get("binary").and_then(|item| read_binary(&item)),
        install_script: fields.get("install_script").and_then(|item| read_path(&item)),
    };
    fields.finish();
    k3s
}

/// `snapshot: newest`, or one by its name and digest.
fn read_restore(item: &Item<'_>) -> Option<At<Restore>> {
    let mut fields = Fields::of(item)?;
    let snapshot =
        fields.require("snapshot", "write newest, or HOST/NAME as `pxe-serve snapshots` shows them");
    let snapshot = snapshot.and_then(|item| item.text().map(|text| item.at(text)));
    let sha256 = fields.get("sha256");
    let restore = match (snapshot?, sha256) {
        (At { value: "newest", .. }, None) => Some(Restore::Newest),
        (At { value: "newest", .. }, Some(sha256)) => {
            let help = "leave it out, or name the snapshot that it is of";
            item.push(sha256.at(()).error("nobody knows the digest of the newest yet").help(help));
            None
        }
        (_, None) => fields.require("sha256", "write it as `pxe-serve snapshots` shows it").and(None),
        (named, Some(sha256)) => {
            let sha256 = sha256.parse_as::<Sha256>("a SHA-256", "`pxe-serve snapshots` shows it");
            read_named(item, &named).zip(sha256).map(|((host, name), sha256)| Restore::Named {
                host,
                name,
                sha256: sha256.value,
            })
        }
    };
    fields.finish();
    restore.map(|restore| item.at(restore))
}

fn read_named(item: &Item<'_>, named: &At<&str>) -> Option<(HostName, SnapshotName)> {
    let parse = || {
        let (host, name) = named.value.split_once('/')?;
        Some((host.parse().ok()?, name.parse().ok()?))
    };
    let parsed = parse();
    if parsed.is_none() {
        let help = "write newest, or HOST/NAME such as lenovo1/etcd-snapshot-lenovo1-1764028800";
        item.push(named.error(format!("{:?} is no snapshot of a host", named.value)).help(help));
    }
    parsed
}

/// Of each server: as many as k3s itself keeps of its own.
const SNAPSHOTS_KEPT: u32 = 5;

/// k3s' own schedule, at 00:00 and 12:00 (docs, cli/etcd-snapshot).
const SNAPSHOT_EVERY_HOURS: u32 = 12;

/// `router`, or a map that says more.
fn read_snapshots(item: &Item<'_>) -> Option<At<Snapshots>> {
    let usual = Snapshots { keep: SNAPSHOTS_KEPT as usize, every_hours: SNAPSHOT_EVERY_HOURS };
    if !matches!(item.node.value, Value::Map(_)) {
        return item.choice(&[("router", usual)]);
    }
    let mut fields = Fields::of(item)?;
    let to = fields.require("to", "write `to: router`").and_then(|item| item.choice(&[("router", ())]));
    let keep =
        fields.get("keep").map_or(Some(usual.keep), |item| Some(item.number(1, 20, "")?.value as usize));
    let every_hours = fields.get("every_hours").map_or(Some(usual.every_hours), |item| read_hours(&item));
    fields.finish();
    to?;
    Some(item.at(Snapshots { keep: keep?, every_hours: every_hours? }))
}

fn read_hours(item: &Item<'_>) -> Option<u32> {
    let hours = item.number(1, 12, " hours")?.value;
    if 24 % hours != 0 {
        let help = "choose 1, 2, 3, 4, 6, 8 or 12: the schedule begins anew at midnight";
        item.push(item.at(()).error(format!("{hours} hours do not divide a day")).help(help));
        return None;
    }
    Some(hours)
}

fn read_path(item: &Item<'_>) -> Option<At<ArtifactPath>> {
    item.parse_as("a path below base_url", "pxe/k3s/k3s")
}

fn read_binary(item: &Item<'_>) -> Option<At<Binary>> {
    if !matches!(item.node.value, Value::Map(_)) {
        return read_path(item).map(|path| item.at(Binary::Only(path)));
    }
    let mut fields = Fields::of(item)?;
    let paths = [("x86_64", Arch::X86_64), ("aarch64", Arch::Aarch64)]
        .into_iter()
        .filter_map(|(name, arch)| Some((arch, read_path(&fields.get(name)?)?)))
        .collect();
    fields.finish();
    Some(item.at(Binary::ByArch(paths)))
}

/// Keys of k3s' config.yaml whose value is a secret.
const SECRET_K3S_KEYS: &[&str] = &[
    "agent-token",
    "datastore-endpoint",
    "etcd-s3-access-key",
    "etcd-s3-secret-key",
    "etcd-s3-session-token",
    "vpn-auth",
];

fn read_extra_config(item: &Item<'_>) -> Vec<(At<String>, serde_json::Value)> {
    let entries = item.entries().unwrap_or_default();
    for (key, value) in &entries {
        if SECRET_K3S_KEYS.contains(&key.value.trim_end_matches('+')) {
            value.redact();
            let help = match key.value.trim_end_matches('+') {
                "agent-token" => "write `agent_token: {file: secrets/k3s-agent-token}` below k3s, instead",
                _ => {
                    "k3s' configuration is served to everybody: write this key into a file of its own in /etc/rancher/k3s/config.yaml.d on the nodes"
                }
            };
            item.push(key.error("a secret would stand in a public file").help(help));
        }
    }
    entries
        .into_iter()
        .map(|(key, value)| {
            (At { value: key.value.to_owned(), path: key.path, place: key.place }, value.json())
        })
        .collect()
}
