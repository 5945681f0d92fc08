//! A small site made by hand, since the server does not know the loader.

use crate::catalogue::{Alternative, Artifact, Audience, Catalogue, Digest, Sensitivity};
use crate::generation::{Generation, Loaded};
use crate::inventory::{self, Inventory};
use crate::report::{Finding, Report};

pub const CONF: &str = "pxe/configs/keepalived-lenovo1.conf";
pub const SCRIPT: &str = "pxe/configs/k3s-healthcheck.sh";
pub const IGNITION: &str = "pxe/ignition/lenovo1.ign";
pub const INSTALL: &str = "pxe/ipxe/lenovo1/install.ipxe";

fn id<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect(text)
}

pub fn inventory() -> Inventory {
    let text = "\
vips: {control_planes: 192.168.26.253}
router: {base_url: http://192.168.26.1}
network: {cidr: 192.168.26.0/24, domain: lab.internal}
ssh_authorized_keys: [ssh-ed25519 AAAA me]
keepalived: {virtual_router_id: 26}
k3s: {version: v1.32.5+k3s1, token: {env: TOKEN}}
defaults: {role: control_plane, interface: eth0, install_device: /dev/nvme0n1}
hosts:
  lenovo1: {address: 192.168.26.5, mac: 52:54:00:00:00:01}
  lenovo2: {address: 192.168.26.6, mac: 52:54:00:00:00:02}
";
    inventory::parse("inventory.yaml", text.as_bytes()).0.expect("a good inventory")
}

pub fn artifact(path: &str, text: &str, sensitivity: Sensitivity, audience: Audience) -> Artifact {
    Artifact::new(path, text.as_bytes().to_vec(), sensitivity, audience)
}

pub fn public(path: &str, text: &str) -> Artifact {
    artifact(path, text, Sensitivity::Public, Audience::Everyone)
}

/// One public script, one config that carries a secret for lenovo1, one Ignition in 3.4 and 3.3; `mark` is in all. And
/// what names them with their digests.
pub fn generation(mark: &str) -> Generation {
    let secret = artifact(
        CONF,
        &format!("auth_pass k3s-keep\n# {mark}\n"),
        Sensitivity::Secret,
        Audience::host(&id("lenovo1")),
    );
    let mut ignition = public(IGNITION, &format!(r#"{{"ignition":{{"version":"3.4.0"}},"mark":"{mark}"}}"#));
    let lower = format!(r#"{{"ignition":{{"version":"3.3.0"}},"mark":"{mark}"}}"#);
    ignition.ignition_version = Some((3, 4));
    ignition.alternative = Some(Alternative {
        ignition_version: (3, 3),
        digest: Digest::of(lower.as_bytes()),
        bytes: lower.into(),
    });
    let script = public(SCRIPT, &format!("#!/bin/sh\n# {mark}\n"));
    let naming = naming(&[(SCRIPT, &script), (CONF, &secret), (IGNITION, &ignition)]);
    with(vec![(SCRIPT, script), (CONF, secret), (IGNITION, ignition), (INSTALL, naming)])
}

/// A boot script that promises these.
pub fn naming(named: &[(&str, &Artifact)]) -> Artifact {
    let lines = named.iter().map(|(path, artifact)| {
        format!("imgfetch http://192.168.26.1/{path}?sha256={} || goto failed\n", artifact.digest().sha256)
    });
    public(INSTALL, &format!("#!ipxe\n{}", lines.collect::<String>()))
}

pub fn with(artifacts: Vec<(&str, Artifact)>) -> Generation {
    let mut catalogue = Catalogue::default();
    for (path, artifact) in artifacts {
        catalogue.insert(id(path), artifact).unwrap();
    }
    Generation { inventory: inventory(), catalogue, static_dir: None }
}

pub fn good(generation: Generation) -> Loaded {
    Loaded {
        generation: Some(generation),
        report: Report::new(),
        inputs: Default::default(),
        unfinished: None,
    }
}

pub fn broken(why: &str) -> Loaded {
    let mut report = Report::new();
    report.push(Finding::error("hosts.lenovo3.mac", why));
    Loaded { generation: None, report, inputs: Default::default(), unfinished: None }
}
