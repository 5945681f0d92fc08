//! What holds for every inventory: it is refused, or everything it renders to hangs together and keeps its secrets.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use pxe_serve::catalogue::{Catalogue, Sensitivity};
use pxe_serve::inventory::{AuthPass, BootImages, ImageNames, Inventory, K3sToken, Secrets, parse};
use pxe_serve::render::{Rendered, Site, TemplateSource, Templates, render};

use crate::site::{CANARY_AGENT_TOKEN, CANARY_PASSWORD, CANARY_TOKEN};

/// Every URL below the base URL, with its query, in any artifact.
pub fn links(inventory: &Inventory, catalogue: &Catalogue) -> Vec<String> {
    let base = format!("{}/", inventory.router.base_url);
    let mut found = Vec::new();
    for (_, artifact) in catalogue.iter() {
        let text = String::from_utf8_lossy(artifact.bytes()).into_owned();
        for part in text.split(&base).skip(1) {
            let end =
                part.find(|c: char| c.is_whitespace() || "\"'<>()\\,".contains(c)).unwrap_or(part.len());
            // Where `…/${mac}.ipxe` leads is known on the machine only.
            found.extend((!part[..end].contains("${")).then(|| part[..end].to_owned()));
        }
    }
    found
}

/// Those that the inventory names itself; none of ours here has them named by a stream.
fn images(inventory: &Inventory) -> BootImages {
    match &inventory.fcos.images {
        ImageNames::Written(images) => BootImages::written(images.clone()),
        ImageNames::Stream(stream) => panic!("{} names them", stream.file.value),
    }
}

#[track_caller]
pub fn assert_leads_somewhere(inventory: &Inventory, catalogue: &Catalogue, link: &str) {
    let (path, query) = link.split_once('?').unwrap_or((link, ""));
    let is_report = || path.strip_prefix("pxe/events/").is_some_and(|host| inventory.host(host).is_some());
    let is_image = || images(inventory).paths().iter().any(|image| image.as_str() == path);
    match catalogue.get(path) {
        Some(artifact) => {
            let digest = query.strip_prefix("sha256=").map(str::to_owned);
            let own = artifact.digest().sha256.to_string();
            assert!(digest.is_none_or(|digest| digest == own), "{link}: another digest");
        }
        // The server answers for it, once it knows.
        None if path == "pxe/cluster-ca" => {}
        // The server keeps them; a script puts the name there.
        None if path.starts_with("pxe/snapshots/") && path.contains('$') => {}
        None if path.starts_with("pxe/tftp/") => assert_eq!(path, "pxe/tftp/ipxe.efi"),
        None => assert!(is_image() || is_report(), "{link}: dead"),
    }
}

/// The shipped templates, and one of a user who writes out everything that is free in an inventory.
fn templates() -> Templates {
    let mut templates = Templates::default();
    let mut folders = vec![Path::new("templates").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix("templates").unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let source = TemplateSource { file: name.clone(), text, built_in: true };
            if name == "artifacts.yaml" {
                templates.artifact_lists.push(source);
            } else {
                templates.sources.insert(name, source);
            }
        }
    }
    let mine =
        |file: &str, text: &str| TemplateSource { file: file.into(), text: text.into(), built_in: false };
    let list = "artifacts:\n  - {path: \"pxe/configs/vars-{host}.yaml\", template: vars.j2, install: {path: /etc/vars, mode: 0644}}\n";
    templates.artifact_lists.push(mine("artifacts.yaml", list));
    let text = "vars: {{ host.vars | tojson }}\nlabels: {{ host.labels | tojson }}\n";
    templates.sources.insert("vars.j2".into(), mine("vars.j2", text));
    templates
}

fn secrets() -> Secrets {
    Secrets {
        auth_hmac: None,
        auth_pass: Some(AuthPass::parse(CANARY_PASSWORD).unwrap()),
        k3s_token: K3sToken::parse(CANARY_TOKEN).unwrap(),
        k3s_agent_token: Some(K3sToken::parse(CANARY_AGENT_TOKEN).unwrap()),
        drain_kubeconfig: None,
    }
}

/// An inventory's text, valid as far as a line alone can be; numbers may collide, and then it is refused.
fn inventory() -> impl Strategy<Value = String> {
    let site = (
        1_u8..=255,
        prop::sample::select(vec!["v1.28.4+k3s2", "v1.31.9+k3s1", "v1.32.5+k3s1", "v1.34.0+k3s1"]),
        prop::sample::select(vec!["bootstrap", "reinstall"]),
        prop::sample::select(vec!["multicast", "unicast"]),
        prop::sample::select(vec!["service", "quadlet"]),
        (1_u32..=10, 2_u32..=10, 1_u32..=5, 1_u32..=5, 1_u32..=5),
        prop::option::of("[a-z]{1,8}\\.[a-z]{2,5}"),
        any::<bool>(),
    );
    (site, prop::collection::vec(host(), 1..=9)).prop_map(|(site, hosts)| {
        let (id, version, phase, transport, install, (interval, timeout, fall, rise, advert), domain, password) = site;
        let mut text = String::from("vips: {control_planes: 10.9.0.250}\nrouter: {base_url: \"http://10.9.0.1:8080\"}\n");
        let domain = domain.map(|domain| format!(", domain: {domain}")).unwrap_or_default();
        writeln!(text, "network: {{cidr: 10.9.0.0/24{domain}}}").unwrap();
        writeln!(text, "ssh_authorized_keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzUp9aFGSVtaxGK8Eh0x8QiFO19CrkKiJT5XWMKW2E it's {{me}}\"]").unwrap();
        let password = if password { ", auth_pass: {file: p}" } else { "" };
        writeln!(text, "keepalived: {{virtual_router_id: {id}, advert_int: {advert}, transport: {transport}, install: {install}{password},").unwrap();
        writeln!(text, "  health_check: {{interval: {interval}, timeout: {timeout}, fall: {fall}, rise: {rise}}}}}").unwrap();
        writeln!(text, "k3s: {{version: {version}, token: {{file: t}}, agent_token: {{file: a}}, phase: {phase}}}").unwrap();
        writeln!(text, "defaults: {{interface: eth0, install_device: /dev/nvme0n1}}\nhosts:").unwrap();
        for (index, host) in hosts.iter().enumerate() {
            // The first is a server, without which there is no cluster.
            let role = if index == 0 || !host.worker { "control_plane" } else { "worker" };
            writeln!(text, "  {}: {{address: 10.9.0.{}, mac: \"{}\", role: {role}, {}}}", host.name, host.address, host.mac, host.rest).unwrap();
        }
        text
    })
}

#[derive(Debug, Clone)]
struct RandomHost {
    name: String,
    address: u8,
    mac: String,
    worker: bool,
    rest: String,
}

fn host() -> impl Strategy<Value = RandomHost> {
    let name = "[a-z][a-z0-9-]{0,12}[a-z0-9]";
    let mac = prop::collection::vec(any::<u8>(), 5)
        .prop_map(|octets| octets.iter().fold("02".to_owned(), |mac, octet| mac + &format!(":{octet:02X}")));
    let label = ("[a-z][a-z0-9]{0,8}", "[a-z0-9]{0,8}");
    let disk = ("sd[b-k]", "[a-z]{1,8}", prop::sample::select(vec!["xfs", "ext4", "btrfs"]));
    let argument = "[a-z_.]{1,12}=[a-zA-Z0-9,:./=-]{0,20}";
    let rest = (
        prop::collection::btree_map(label.0, label.1, 0..3),
        prop::collection::vec(disk, 0..3),
        prop::collection::vec(argument, 0..3),
        prop::collection::btree_map("[a-z]{1,8}", hostile(), 0..3),
    )
        .prop_map(|(labels, disks, arguments, vars)| {
            let disks: Vec<String> = disks
                .iter()
                .map(|(device, path, format)| {
                    format!("{{device: /dev/{device}, path: /var/{path}, format: {format}}}")
                })
                .collect();
            format!(
                "labels: {}, disks: [{}], kernel_arguments: {}, vars: {}",
                json(&labels),
                disks.join(", "),
                json(&arguments),
                json(&vars)
            )
        });
    (name, 2_u8..250, mac, any::<bool>(), rest).prop_map(|(name, address, mac, worker, rest)| RandomHost {
        name,
        address,
        mac,
        worker,
        rest,
    })
}

/// Texts that mean something in one of the formats they end up in.
fn hostile() -> impl Strategy<Value = String> {
    let known = [
        "{{ secrets.k3s_token }}",
        "{% include 'configs/k3s-token.j2' %}",
        "http://10.9.0.1:8080/pxe/configs/k3s-token",
        "http://10.9.0.1:8080/pxe/nowhere",
        "\u{0}\r\n#!/bin/sh\n",
        "vrrp_instance X {\n  nopreempt\n}",
        "${mac:hexhyp}",
        "---\n- &a [*a]",
        "\u{feff}\u{2028}\"'\\",
    ];
    prop_oneof![prop::sample::select(known.map(str::to_owned).to_vec()), any::<String>()]
}

/// JSON, which is YAML as well.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

proptest! {
    // Enough to meet each pair of choices; a case takes some ten milliseconds unoptimised.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_inventory_is_refused_or_renders_to_what_hangs_together_and_keeps_its_secrets(text in inventory()) {
        check(&text)?;
    }
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let (inventory, report) = parse("inventory.yaml", text.as_bytes());
    prop_assert_eq!(inventory.is_none(), report.has_errors());
    let silent = |text: &str| !text.contains(CANARY_TOKEN) && !text.contains(CANARY_PASSWORD);
    prop_assert!(silent(&report.to_text(false)));
    let Some(inventory) = inventory else { return Ok(()) };
    let images = images(&inventory);
    let site = Site { inventory, images, secrets: secrets(), templates: templates(), static_files: None };
    let debug = format!("{site:?}");
    prop_assert!(silent(&debug));
    let Rendered { catalogue, report } = render(&site);
    let findings = report.to_text(false);
    prop_assert!(silent(&findings), "{}", findings);
    let json = serde_json::to_string(report.findings()).unwrap();
    prop_assert!(silent(&json), "{}", json);
    prop_assert_eq!(catalogue.is_none(), report.has_errors());
    let Some(catalogue) = catalogue else {
        // Nothing but a variable that says what does not exist is refused here.
        prop_assert!(findings.contains("pxe/nowhere"), "{}", findings);
        return Ok(());
    };
    for (path, artifact) in catalogue.iter() {
        let bytes = String::from_utf8_lossy(artifact.bytes()).into_owned();
        prop_assert!(artifact.sensitivity == Sensitivity::Secret || silent(&bytes), "{}", path);
        for host in &site.inventory.hosts {
            let password = site.secrets.node_password(host.name.as_str());
            let is_its_own = path.as_str() == format!("pxe/configs/k3s-node-password-{}", host.name);
            prop_assert_eq!(bytes.contains(&password), is_its_own, "{}", path);
        }
        if path.as_str().ends_with(".ign") {
            let (_, warnings) = ignition_config::Config::parse_slice(artifact.bytes()).unwrap();
            prop_assert!(warnings.is_empty(), "{}: {:?}", path, warnings);
        }
        if path.as_str().starts_with("pxe/configs/k3s-config-") {
            let config: serde_json::Value = serde_yaml::from_str(&bytes).unwrap();
            prop_assert_eq!(&config["token-file"], "/etc/rancher/k3s/cluster-token");
        }
    }
    for link in links(&site.inventory, &catalogue) {
        assert_leads_somewhere(&site.inventory, &catalogue, &link);
    }
    prop_assert_eq!(render(&site).catalogue, Some(catalogue));
    Ok(())
}
