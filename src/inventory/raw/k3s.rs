//! `k3s:` as written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::catalogue::ArtifactPath;
use crate::document::{At, Fields, Item, Value};
use crate::ids::{ComponentName, DnsName, HostName, Invalid, K3sVersion};
use crate::inventory::model::{Arch, Phase, SecretReference, Selinux};

use super::{network_address, read_secret};

#[derive(Debug, Default)]
pub struct K3s {
    pub version: Option<At<K3sVersion>>,
    pub token: Option<At<SecretReference>>,
    pub tls_san: Vec<At<TlsSan>>,
    pub disable: Vec<At<ComponentName>>,
    pub cluster_cidr: Option<At<IpNet>>,
    pub service_cidr: Option<At<IpNet>>,
    pub extra_config: Vec<(At<String>, serde_json::Value)>,
    pub bootstrap_host: Option<At<HostName>>,
    pub phase: Option<At<Phase>>,
    pub selinux: Option<At<Selinux>>,
    pub binary: Option<At<Binary>>,
    pub install_script: Option<At<ArtifactPath>>,
}

/// The k3s binary: one path, or one for each architecture.
#[derive(Debug, Clone)]
pub enum Binary {
    Only(At<ArtifactPath>),
    ByArch(BTreeMap<Arch, At<ArtifactPath>>),
}

/// A name or an address for the certificate beyond those the inventory already knows.
#[derive(Debug, Clone)]
pub struct TlsSan(pub String);

impl std::str::FromStr for TlsSan {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(TlsSan(address.to_string())),
            Err(_) => text.parse::<DnsName>().map(|name| TlsSan(name.to_string())),
        }
    }
}

pub fn read_k3s(item: &Item<'_>) -> K3s {
    let Some(mut fields) = Fields::of(item) else { return K3s::default() };
    let version = fields.require("version", "write the release every node gets, such as v1.32.5+k3s1");
    let token =
        fields.require("token", "add `token: {file: secrets/k3s-token}`, made with `openssl rand -hex 32`");
    let k3s = K3s {
        version: version.and_then(|item| item.parse()),
        token: token.and_then(|item| read_secret(&item)),
        tls_san: fields.get("tls_san").and_then(|item| item.list_of()).unwrap_or_default(),
        disable: fields.get("disable").and_then(|item| item.list_of()).unwrap_or_default(),
        cluster_cidr: fields.get("cluster_cidr").and_then(|item| network_address(&item)),
        service_cidr: fields.get("service_cidr").and_then(|item| network_address(&item)),
        extra_config: fields.get("extra_config").map(|item| read_extra_config(&item)).unwrap_or_default(),
        bootstrap_host: fields.parse("bootstrap_host"),
        phase: fields.get("phase").and_then(|item| {
            item.choice(&[("bootstrap", Phase::Bootstrap), ("reinstall", Phase::Reinstall)])
        }),
        selinux: fields.get("selinux").and_then(|item| {
            let choices = [("none", Selinux::None), ("image", Selinux::Image), ("layered", Selinux::Layered)];
            item.choice(&choices)
        }),
        binary: fields.get("binary").and_then(|item| read_binary(&item)),
        install_script: fields.get("install_script").and_then(|item| read_path(&item)),
    };
    fields.finish();
    k3s
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
            let help = "k3s' configuration is served to everybody: write this key into a file of its own in /etc/rancher/k3s/config.yaml.d on the nodes";
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
