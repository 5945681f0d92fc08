//! The inventory of a lab, where labs differ.

use std::net::IpAddr;

/// What the inventory of a lab says where labs differ.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Their priorities, which are their number as well.
    pub priorities: Vec<u8>,
    /// What the VIPs and the nodes' addresses begin with.
    pub networks: Vec<&'static str>,
    pub vip: u8,
    pub first_node: u8,
    pub virtual_router_id: u8,
    /// Lines of `keepalived:`.
    pub keepalived: Vec<&'static str>,
    pub k3s_version: &'static str,
}

pub const IPV4: &str = "192.168.26.";
pub const IPV6: &str = "fd00:26::";

impl Default for Shape {
    /// The seed's three nodes.
    fn default() -> Shape {
        Shape {
            priorities: vec![100, 90, 80],
            networks: vec![IPV4],
            vip: 253,
            first_node: 5,
            virtual_router_id: 26,
            keepalived: Vec::new(),
            k3s_version: "v1.37.0+k3s1",
        }
    }
}

impl Shape {
    fn list(&self, last: &str) -> String {
        let all: Vec<String> = self.networks.iter().map(|network| format!("\"{network}{last}\"")).collect();
        format!("[{}]", all.join(", "))
    }

    pub fn vips(&self) -> Vec<IpAddr> {
        self.networks.iter().map(|network| format!("{network}{}", self.vip).parse().unwrap()).collect()
    }

    pub fn inventory(&self) -> String {
        let networks: Vec<&str> = self
            .networks
            .iter()
            .map(|&network| if network == IPV4 { "192.168.26.0/24" } else { "\"fd00:26::/64\"" })
            .collect();
        let mut text = format!(
            "vips: {{control_planes: {vips}}}\n\
             router: {{base_url: \"http://192.168.26.1\"}}\n\
             network: {{cidr: [{networks}]}}\n\
             ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzUp9aFGSVtaxGK8Eh0x8QiFO19CrkKiJT5XWMKW2E lab]\n\
             k3s: {{version: {version}, token: {{file: secrets/k3s-token}}, bootstrap_host: node1, phase: reinstall}}\n\
             defaults: {{role: control_plane, interface: eth0, install_device: /dev/sda}}\n\
             keepalived:\n  virtual_router_id: {id}\n  auth_pass: {{file: secrets/keepalived-auth-pass}}\n",
            vips = self.list(&self.vip.to_string()),
            networks = networks.join(", "),
            version = self.k3s_version,
            id = self.virtual_router_id,
        );
        self.keepalived.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        text.push_str("hosts:\n");
        for (place, priority) in self.priorities.iter().enumerate() {
            let number = place + 1;
            let addresses = self.list(&(usize::from(self.first_node) + place).to_string());
            text.push_str(&format!(
                "  node{number}: {{address: {addresses}, mac: \"52:54:00:00:00:{number:02x}\", priority: {priority}}}\n"
            ));
        }
        text
    }
}
