//! Every name and address by which a client may ask for the API, the same on every server.

use std::collections::BTreeSet;

use super::Inventory;

impl Inventory {
    /// What the certificate of every server is to show: `k3s` renders it, `tls-san` checks and applies it.
    pub fn tls_san(&self) -> Vec<String> {
        let mut names = self.vips.control_planes.iter().map(|vip| vip.to_string()).collect::<Vec<_>>();
        names.extend(self.network.control_planes_name.as_ref().map(|name| name.to_string()));
        for host in self.control_planes() {
            names.push(host.name.to_string());
            names.extend(host.fqdn(&self.network).map(|name| name.to_string()));
            names.extend(host.addresses.iter().map(|address| address.to_string()));
        }
        names.extend(self.k3s.tls_san.iter().cloned());
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}
