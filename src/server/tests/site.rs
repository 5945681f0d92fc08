//! A small site made by hand, since the server does not know the loader.

use std::collections::BTreeMap;

use crate::catalogue::{Alternative, Artifact, Audience, Catalogue, Digest, Sensitivity};
use crate::generation::{Generation, Loaded};
use crate::ids::*;
use crate::inventory::*;
use crate::report::{Finding, Report};

pub const CONF: &str = "pxe/configs/keepalived-lenovo1.conf";
pub const SCRIPT: &str = "pxe/configs/k3s-healthcheck.sh";
pub const IGNITION: &str = "pxe/ignition/lenovo1.ign";

fn id<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect(text)
}

fn host(name: &str, address: &str, mac: &str) -> Host {
    Host {
        name: id(name),
        address: id(address),
        macs: vec![id(mac)],
        uuid: None,
        serial: None,
        interface: id("eth0"),
        role: Role::ControlPlane { priority: Priority::new(100).unwrap() },
        install_device: id("/dev/nvme0n1"),
        arch: Arch::X86_64,
        labels: BTreeMap::new(),
        kernel_arguments: vec![],
        disks: vec![],
        vars: serde_json::Map::new(),
    }
}

pub fn inventory() -> Inventory {
    Inventory {
        vips: Vips { control_planes: id("192.168.26.253"), workers: None },
        router: Router { base_url: id("http://192.168.26.1") },
        network: Network {
            cidr: id("192.168.26.0/24"),
            domain: Some(id("lab.internal")),
            control_planes_name: None,
            dhcp_range: None,
        },
        ssh_authorized_keys: vec![],
        keepalived: Keepalived {
            virtual_router_id: VirtualRouterId::new(26).unwrap(),
            advert_int_seconds: 1,
            auth_pass: None,
            transport: Transport::Multicast,
            image: id("docker.io/osixia/keepalived:2.0.20"),
            install: InstallAs::Service,
            health_check: HealthCheck { interval_seconds: 2, timeout_seconds: 3, fall: 2, rise: 2 },
        },
        k3s: K3s {
            version: id("v1.32.5+k3s1"),
            token: SecretReference::Env("TOKEN".to_owned()),
            disable: vec![],
            cluster_cidr: None,
            service_cidr: None,
            extra_config: serde_json::Map::new(),
            bootstrap_host: id("lenovo1"),
            phase: Phase::Reinstall,
        },
        fcos: Fcos {
            kernel: id("fcos/kernel"),
            initramfs: id("fcos/initramfs"),
            rootfs: id("fcos/rootfs"),
            metal_image: None,
        },
        hosts: vec![
            host("lenovo1", "192.168.26.5", "52:54:00:00:00:01"),
            host("lenovo2", "192.168.26.6", "52:54:00:00:00:02"),
        ],
    }
}

pub fn artifact(path: &str, text: &str, sensitivity: Sensitivity, audience: Audience) -> Artifact {
    Artifact::new(path, text.as_bytes().to_vec(), sensitivity, audience)
}

pub fn public(path: &str, text: &str) -> Artifact {
    artifact(path, text, Sensitivity::Public, Audience::Everyone)
}

/// One public script, one config that carries a secret for lenovo1, one Ignition in 3.4 and 3.3; `mark` is in all.
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
    with(vec![
        (SCRIPT, public(SCRIPT, &format!("#!/bin/sh\n# {mark}\n"))),
        (CONF, secret),
        (IGNITION, ignition),
    ])
}

pub fn with(artifacts: Vec<(&str, Artifact)>) -> Generation {
    let mut catalogue = Catalogue::default();
    for (path, artifact) in artifacts {
        catalogue.insert(id(path), artifact).unwrap();
    }
    Generation { inventory: inventory(), catalogue, static_files: BTreeMap::new() }
}

pub fn good(generation: Generation) -> Loaded {
    Loaded { generation: Some(generation), report: Report::new(), inputs: Default::default() }
}

pub fn broken(why: &str) -> Loaded {
    let mut report = Report::new();
    report.push(Finding::error("hosts.lenovo3.mac", why));
    Loaded { generation: None, report, inputs: Default::default() }
}
