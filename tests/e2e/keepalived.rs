//! Real keepalived reads every configuration, in a namespace that has the interface and the script.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::site::{Site, files};
use crate::tools::{command, have, run, said};

const PROGRAMS: &[&str] = &["keepalived", "ip", "unshare"];

/// Runs `keepalived -t` where `interface` exists and `node_folder` is mounted as in the container, in namespaces of its
/// own.
fn test_configuration(configuration: &Path, node_folder: &Path, interface: &str) -> Output {
    let script = format!(
        "set -e\n\
         ip link set lo up\n\
         ip link add {interface} type veth peer name peer0\n\
         ip link set {interface} up\n\
         mkdir -p /etc/pxe-serve/keepalived\n\
         mount --bind {node} /etc/pxe-serve/keepalived\n\
         exec keepalived --config-test --use-file={configuration}",
        node = node_folder.display(),
        configuration = configuration.display()
    );
    let mut unshare = command("unshare");
    unshare.args(["--net", "--mount", "--propagation", "private", "sh", "-c", &script]);
    run(&unshare, Duration::from_secs(30))
}

/// A folder as Ignition makes `/etc/keepalived` on the node: the script, with the mode that the config gives it.
fn node_folder(bundle: &Path, mode: u32) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("k3s-healthcheck.sh");
    std::fs::copy(bundle.join("pxe/configs/k3s-healthcheck.sh"), &script).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn accepts_all(site: &Site, interface: &str) {
    let bundle = site.render();
    let node = node_folder(&bundle, 0o755);
    let mut seen = 0;
    for file in files(&bundle.join("pxe/configs")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name.starts_with("keepalived-") && name.ends_with(".conf") {
            let output = test_configuration(&file, node.path(), interface);
            assert_eq!(output.status.code(), Some(0), "{name}: {}", said(&output));
            let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(complaints.trim(), "", "{name} is accepted, but not in silence");
            seen += 1;
        }
    }
    assert_eq!(seen, 3);
}

#[test]
fn keepalived_accepts_what_the_seed_needs() {
    if have(PROGRAMS, true) {
        accepts_all(&Site::seed(), "eth0");
    }
}

#[test]
fn keepalived_accepts_unicast_on_a_vlan_interface() {
    if have(PROGRAMS, true) {
        let site = Site::edited(|text| {
            text.replace("  virtual_router_id: 26 ", "  transport: unicast\n  virtual_router_id: 26 ")
                .replace("interface: eth0", "interface: eth0.26")
        });
        accepts_all(&site, "eth0.26");
    }
}

#[test]
fn keepalived_accepts_an_ipv6_address_which_has_no_authentication() {
    if have(PROGRAMS, true) {
        let site = Site::edited(|text| {
            text.replace("192.168.26.0/24", "fd00:26::/64")
                .replace("  dhcp_range: 192.168.26.100-192.168.26.249\n", "")
                .replace("\"192.168.26.253\"", "\"fd00:26::253\"")
                .replace("\"192.168.26.254\"", "\"fd00:26::254\"")
                .replace("address: 192.168.26.", "address: fd00:26::")
        });
        accepts_all(&site, "eth0");
    }
}

/// An IPv6 address for everything that has an IPv4 one.
fn with_both_families(text: String) -> String {
    let text = text.replace("\"192.168.26.253\"", "[192.168.26.253, \"fd00:26::253\"]");
    let text = text.replace("cidr: 192.168.26.0/24", "cidr: [192.168.26.0/24, \"fd00:26::/64\"]");
    (5..=7).fold(text, |text, last| {
        text.replace(
            &format!("address: 192.168.26.{last}\n"),
            &format!("address: [192.168.26.{last}, \"fd00:26::{last}\"]\n"),
        )
    })
}

#[test]
fn keepalived_accepts_both_families_as_a_sync_group() {
    if have(PROGRAMS, true) {
        accepts_all(&Site::edited(with_both_families), "eth0");
        accepts_all(
            &Site::edited(|text| {
                with_both_families(text)
                    .replace("  virtual_router_id: 26 ", "  transport: unicast\n  virtual_router_id: 26 ")
            }),
            "eth0",
        );
    }
}

#[test]
fn keepalived_accepts_preemption_and_a_check_on_the_host() {
    if have(PROGRAMS, true) {
        accepts_all(
            &Site::edited(|text| {
                text.replace("  virtual_router_id: 26 ", "  preempt_delay: 30\n  virtual_router_id: 26 ")
            }),
            "eth0",
        );
        accepts_all(
            &Site::edited(|text| {
                text.replace(
                    "  virtual_router_id: 26 ",
                    "  health_check: {run_on: host}\n  virtual_router_id: 26 ",
                )
            }),
            "eth0",
        );
    }
}

/// Settings of keepalived as lines of the inventory; every combination is valid.
fn settings() -> impl Strategy<Value = (Vec<String>, bool, bool)> {
    let line = |line: &str| line.to_owned();
    (
        prop::sample::select(vec!["multicast", "unicast"]),
        (1_u8..=255, 1_u32..=40, prop::option::of(0_u32..=1000)),
        (1_u32..=60, 1_u32..=60, 1_u32..=60, 1_u32..=60),
        prop::sample::select(vec!["container", "host"]),
        (any::<bool>(), any::<bool>()),
    )
        .prop_map(move |(transport, (id, advert, preempt), (interval, timeout, fall, rise), run_on, families)| {
            let mut lines = vec![
                line(&format!("transport: {transport}")),
                line(&format!("virtual_router_id: {id}")),
                line(&format!("advert_int: {advert}")),
                line(&format!(
                    "health_check: {{run_on: {run_on}, interval: {interval}, timeout: {timeout}, fall: {fall}, rise: {rise}}}"
                )),
            ];
            lines.extend(preempt.map(|seconds| format!("preempt_delay: {seconds}")));
            (lines, families.0, families.1)
        })
}

#[test]
fn keepalived_accepts_every_setting_that_the_inventory_takes() {
    if !have(PROGRAMS, true) {
        return;
    }
    let config = ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&settings(), |(lines, both_families, password)| {
        let site = Site::edited(|text| {
            let begin = text.find("  virtual_router_id:").unwrap();
            let end = begin + text[begin..].find('\n').unwrap();
            let text = format!("{}  {}{}", &text[..begin], lines.join("\n  "), &text[end..]);
            let text = if password {
                text
            } else {
                text.replace("  auth_pass: {file: secrets/keepalived-auth-pass}\n", "")
            };
            if both_families { with_both_families(text) } else { text }
        });
        let bundle = site.render();
        let file = bundle.join("pxe/configs/keepalived-lenovo2.conf");
        let output = test_configuration(&file, node_folder(&bundle, 0o755).path(), "eth0");
        prop_assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        Ok(())
    });
    outcome.unwrap();
}

/// keepalived of Debian 13 and its libraries, by `fetch-keepalived.sh`. The one of these tests is Debian 12's, 2.2.7.
const DEBIAN_13: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/keepalived/root");

/// As in a container of `root` that has the unit's volume: `keepalived -t` with `folder` at `mounted`.
fn test_in_container(folder: &Path, mounted: &str, config: &str) -> Output {
    let script = format!(
        "set -e\n\
         ip link set lo up; ip link add eth0 type veth peer name peer0; ip link set eth0 up\n\
         mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work /mnt/root\n\
         mount -t overlay overlay -o lowerdir={DEBIAN_13},upperdir=/mnt/upper,workdir=/mnt/work /mnt/root\n\
         mkdir -p /mnt/root/dev /mnt/root/proc /mnt/root{mounted}\n\
         mount --rbind /dev /mnt/root/dev; mount --rbind /proc /mnt/root/proc; mount --bind {folder} /mnt/root{mounted}\n\
         exec chroot /mnt/root keepalived --config-test --use-file {config}",
        folder = folder.display(),
    );
    let mut unshare = command("unshare");
    unshare.args(["--net", "--mount", "--propagation", "private", "sh", "-c", &script]);
    run(&unshare, Duration::from_secs(30))
}

#[test]
fn keepalived_of_debian_13_starts_with_our_folder_where_the_unit_mounts_it() {
    let program = format!("{DEBIAN_13}/usr/sbin/keepalived");
    if !have(&[&program, "unshare", "ip", "chroot"], true) {
        return;
    }
    let site = Site::seed();
    let bundle = site.render();
    let node = node_folder(&bundle, 0o755);
    std::fs::copy(bundle.join("pxe/configs/keepalived-lenovo1.conf"), node.path().join("keepalived.conf"))
        .unwrap();
    for unit in ["keepalived.service", "keepalived.container"] {
        let unit = std::fs::read_to_string(bundle.join("pxe/configs").join(unit)).unwrap();
        let after = |what: &str| {
            let rest = &unit[unit.find(what).unwrap() + what.len()..];
            rest[..rest.find([':', '\n']).unwrap()].to_owned()
        };
        let (mounted, config) = (after("/etc/keepalived:"), after("--use-file "));
        let output = test_in_container(node.path(), &mounted, &config);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    }
    // Where the image has a file of its own, the folder hides it.
    let hidden = test_in_container(node.path(), "/etc/keepalived", "/etc/keepalived/keepalived.conf");
    assert!(said(&hidden).contains("Unable to read build config options file"), "{}", said(&hidden));
    assert_eq!(hidden.status.code(), Some(1), "{}", said(&hidden));
}

/// The traps of facts.md, each shown to be one: were it harmless, our way around it would be superstition.
#[test]
fn keepalived_refuses_or_forgives_what_we_never_render() {
    if !have(PROGRAMS, true) {
        return;
    }
    let site = Site::seed();
    let bundle = site.render();
    let good = std::fs::read_to_string(bundle.join("pxe/configs/keepalived-lenovo1.conf")).unwrap();
    let judged = |from: &str, to: &str, mode: u32| {
        assert!(good.contains(from), "{from} is not in the configuration");
        let file = site.path("trap.conf");
        std::fs::write(&file, good.replace(from, to)).unwrap();
        test_configuration(&file, node_folder(&bundle, mode).path(), "eth0")
    };
    let long_password = judged("auth_pass k3skeep1", "auth_pass k3s-keepalived-secret", 0o755);
    assert_eq!(long_password.status.code(), Some(5), "{}", said(&long_password));
    // Accepted, but without the script there is no failover: so our lint is the only one to notice.
    let not_executable = judged("fall 2", "fall 2", 0o644);
    assert_eq!(not_executable.status.code(), Some(0), "{}", said(&not_executable));
    let master = judged("state BACKUP", "state MASTER", 0o755);
    assert!(said(&master).contains("nopreempt"), "{}", said(&master));
    let other_interface = judged("interface eth0", "interface eth7", 0o755);
    assert_ne!(other_interface.status.code(), Some(0));
}
