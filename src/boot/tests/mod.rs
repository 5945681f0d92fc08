//! Who a machine is, what it boots, and what is said to it: as tables, and as laws over random histories.

mod console;
mod lifecycle;
mod machines;
mod reboots;
mod restore;
mod stages;
mod told;
mod whatever_happens;

use crate::inventory::{self, Inventory};

fn inventory_with(phase: &str, hosts: &str) -> Inventory {
    let text = format!(
        "\
vips: {{control_planes: 192.168.26.253}}
router: {{base_url: http://192.168.26.1}}
network: {{cidr: 192.168.26.0/24, domain: lab.internal}}
ssh_authorized_keys: [ssh-ed25519 AAAA me]
keepalived: {{virtual_router_id: 26}}
k3s: {{version: v1.32.5+k3s1, token: {{env: TOKEN}}, phase: {phase}}}
defaults: {{role: control_plane, interface: eth0, install_device: /dev/nvme0n1}}
hosts:
{hosts}"
    );
    let (inventory, report) = inventory::parse("inventory.yaml", text.as_bytes());
    inventory.unwrap_or_else(|| panic!("{}", report.to_text(false)))
}

fn three(phase: &str) -> Inventory {
    inventory_with(
        phase,
        "  one: {address: 192.168.26.5, mac: [52:54:00:00:00:01, 52:54:00:00:01:01], uuid: 00112233-4455-6677-8899-aabbccddeeff}
  two: {address: 192.168.26.6, mac: 52:54:00:00:00:02, uuid: 11112222-3333-4444-5555-666677778888, serial: PF0ABC/2}
  three: {address: 192.168.26.7, mac: 52:54:00:00:00:03, serial: S-3, boot: install}
",
    )
}
