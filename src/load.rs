//! A stand-in until the real loader is merged: three hosts and a file for each, whatever the inventory says.

#![expect(clippy::disallowed_methods, reason = "loading reads files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::catalogue::{Artifact, Audience, Catalogue, Sensitivity};
use crate::generation::{Generation, Loaded};
use crate::inventory::*;
use crate::report::{Finding, Report};

/// Where everything that bytes depend on comes from.
#[derive(Debug, Clone)]
pub struct Sources {
    pub inventory: PathBuf,
    pub templates: Option<PathBuf>,
    pub static_dir: Option<PathBuf>,
}

pub fn load(sources: &Sources) -> Loaded {
    let mut report = Report::new();
    let generation = match std::fs::read_to_string(&sources.inventory) {
        Err(error) => {
            report.push(Finding::error("", format!("cannot read: {error}")));
            None
        }
        Ok(text) if text.contains("nonsense") => {
            report.push(Finding::error("nonsense", "nobody reads this key").help("remove it"));
            None
        }
        Ok(_) => Some(generation()),
    };
    Loaded { generation, report, inputs: BTreeSet::from([sources.inventory.clone()]) }
}

fn generation() -> Generation {
    let inventory = inventory();
    let mut catalogue = Catalogue::default();
    let mut add = |path: String, text: String, sensitivity, audience| {
        let artifact = Artifact::new(&path, text, sensitivity, audience);
        catalogue.insert(path.parse().unwrap(), artifact).unwrap();
    };
    for host in &inventory.hosts {
        let path = format!("pxe/configs/keepalived-{}.conf", host.name);
        add(path, format!("router_id {}\n", host.name), Sensitivity::Secret, Audience::host(&host.name));
    }
    add("pxe/boot.ipxe".into(), "#!ipxe\n".into(), Sensitivity::Public, Audience::Everyone);
    Generation { inventory, catalogue: catalogue.seal(), static_files: BTreeMap::new() }
}

fn inventory() -> Inventory {
    let secret = || SecretReference::Env("X".into());
    let hosts = (1..=3).map(|number| Host {
        name: format!("lenovo{number}").parse().unwrap(),
        address: format!("192.168.26.{number}").parse().unwrap(),
        macs: vec![],
        uuid: None,
        serial: None,
        interface: "eth0".parse().unwrap(),
        role: Role::Worker,
        install_device: "/dev/sda".parse().unwrap(),
        arch: Arch::X86_64,
        labels: BTreeMap::new(),
        kernel_arguments: vec![],
        disks: vec![],
        vars: Default::default(),
    });
    Inventory {
        vips: Vips { control_planes: "192.168.26.253".parse().unwrap(), workers: None },
        router: Router { base_url: "http://192.168.26.1".parse().unwrap() },
        network: Network {
            cidr: "192.168.26.0/24".parse().unwrap(),
            domain: None,
            control_planes_name: None,
            dhcp_range: None,
        },
        ssh_authorized_keys: vec![],
        keepalived: Keepalived {
            virtual_router_id: crate::ids::VirtualRouterId::new(50).unwrap(),
            advert_int_seconds: 1,
            auth_pass: None,
            transport: Transport::Multicast,
            image: "docker.io/osixia/keepalived:2.0.20".parse().unwrap(),
            install: InstallAs::Service,
            health_check: HealthCheck { interval_seconds: 2, timeout_seconds: 3, fall: 2, rise: 2 },
        },
        k3s: K3s {
            version: "v1.32.5+k3s1".parse().unwrap(),
            token: secret(),
            disable: vec![],
            cluster_cidr: None,
            service_cidr: None,
            extra_config: Default::default(),
            bootstrap_host: "lenovo1".parse().unwrap(),
            phase: Phase::Bootstrap,
        },
        fcos: Fcos {
            kernel: "a".parse().unwrap(),
            initramfs: "b".parse().unwrap(),
            rootfs: "c".parse().unwrap(),
            metal_image: None,
        },
        hosts: hosts.collect(),
    }
}
