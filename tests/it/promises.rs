//! A big site that is edited while all of it boots: everything that a node was told with a digest is still answered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use pxe_serve::catalogue::{Sha256, parse_sum_line};

use crate::serving::Served;
use crate::site::Site;

/// A guard against hanging, far above what is measured.
const PATIENCE: Duration = Duration::from_secs(120);

const HOSTS: usize = 1000;

fn inventory(key: &str) -> String {
    let mut text = format!(
        "\
vips: {{control_planes: 127.9.9.9}}
router: {{base_url: http://127.9.9.8}}
network: {{cidr: 127.0.0.0/8}}
ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzUp9aFGSVtaxGK8Eh0x8QiFO19CrkKiJT5XWMKW2E {key}]
keepalived: {{virtual_router_id: 26, auth_pass: {{file: password}}}}
k3s: {{version: v1.32.5+k3s1, token: {{file: token}}, agent_token: {{file: agent-token}}}}
defaults: {{interface: eth0, install_device: /dev/nvme0n1}}
hosts:
"
    );
    for number in 0..HOSTS {
        let (high, low) = (number / 250, number % 250);
        let role = if number < 3 { "control_plane" } else { "worker" };
        let address = format!("127.1.{high}.{}", low + 1);
        writeln!(
            text,
            "  n{number}: {{address: {address}, mac: 02-00-00-00-{high:02x}-{low:02x}, role: {role}}}"
        )
        .unwrap();
    }
    text
}

fn sums(server: &Served) -> BTreeMap<String, String> {
    let text = String::from_utf8(server.get("/pxe/SHA256SUMS").body).unwrap();
    let lines = text.lines().map(|line| parse_sum_line(line).unwrap_or_else(|| panic!("{line}")));
    lines.map(|(path, digest)| (path, digest.to_string())).collect()
}

/// What is served once it is no longer `before`.
fn sums_after(server: &Served, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let begin = Instant::now();
    loop {
        let now = sums(server);
        if now != *before {
            return now;
        }
        assert!(begin.elapsed() < PATIENCE, "the edit is not served");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn edits_of_a_thousand_hosts_take_nothing_from_a_boot_under_way() {
    let site = Site::new().file("inventory.yaml", &inventory("me"));
    let server = Served::start(&site.sources(), &["--secrets", "loopback"]);
    let first = sums(&server);
    let site = site.file("inventory.yaml", &inventory("somebody-else"));
    let second = sums_after(&server, &first);
    let _site = site.file("token", "another-token-4c1f7e90");
    let third = sums_after(&server, &second);

    let mut replaced = BTreeMap::<&str, usize>::new();
    for (before, after) in [(&first, &second), (&second, &third)] {
        for (path, digest) in before.iter().filter(|(path, digest)| after.get(*path) != Some(*digest)) {
            let kinds = ["pxe/ignition/n", "pxe/initrd/install/n", "pxe/configs/"];
            let Some(kind) = kinds.iter().find(|kind| path.starts_with(**kind)) else { continue };
            *replaced.entry(kind).or_default() += 1;
            let answer = server.get(&format!("/{path}?sha256={digest}"));
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(Sha256::of(&answer.body).to_string(), *digest, "{path}");
        }
    }
    assert!(replaced["pxe/ignition/n"] >= 2 * HOSTS, "{replaced:?}");
    assert!(replaced["pxe/initrd/install/n"] >= 2 * HOSTS, "{replaced:?}");
    assert!(replaced["pxe/configs/"] >= 1, "{replaced:?}");
    let log = server.stop();
    assert!(!log.contains("more was edited"), "{log}");
}
