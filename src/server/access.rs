//! Who may fetch an artifact that carries a secret. Public artifacts never come here.
//!
//! It trusts addresses, as everything before the first SSH key on a node must: a boot client has no credentials.
//! So it is as strong as the network's ARP. Whoever comes from this machine or through a proxy is nobody: see `caller`.

use std::net::IpAddr;

use crate::catalogue::Audience;
use crate::inventory::Inventory;

use super::archive::Machines;
use super::peer::Peer;

/// Who may fetch secrets, `--secrets`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SecretsPolicy {
    /// Each host what is meant for it, by its address in the inventory
    #[default]
    OwnHost,
    /// As own-host, and any address within the inventory's network.cidr; those may report for a host, too
    Lan,
    /// This machine's loopback only, for a look with curl; whatever forwards on this machine has them, too
    Loopback,
}

impl SecretsPolicy {
    /// For the 403: what would be allowed, and by which option.
    pub fn rule(self) -> &'static str {
        match self {
            SecretsPolicy::OwnHost => {
                "with --secrets own-host only the host it is for, by its address in the inventory, may"
            }
            SecretsPolicy::Lan => "with --secrets lan only addresses within network.cidr may",
            SecretsPolicy::Loopback => "with --secrets loopback only this machine's loopback may",
        }
    }

    /// The operator always may. `inventory` is the one served now. `machines` are those that an older generation knew its audience by: a boot under
    /// way must not stop since its host was renamed or has moved. Who is at one of their addresses is one of them if it
    /// is nobody by now, or if all of the audience have left the inventory. While one of them is there under its name,
    /// another host at that address has taken it over and inherits nothing, unless it has a MAC of theirs.
    pub fn grant(
        self,
        peer: Peer,
        audience: &Audience,
        machines: &Machines,
        inventory: Option<&Inventory>,
    ) -> Option<Grant> {
        if peer == Peer::Operator || self == SecretsPolicy::Loopback && peer.is_loopback() {
            return Some(Grant::ByPlace);
        }
        let address = peer.network().filter(|_| self != SecretsPolicy::Loopback)?;
        let known = inventory.and_then(|inventory| inventory.host_at(address));
        let have_left =
            |inventory: &Inventory| !inventory.hosts.iter().any(|host| audience.includes(&host.name));
        let is_own_host = match known {
            Some(host) if audience.includes(&host.name) => true,
            Some(host) if host.macs.iter().any(|mac| machines.macs.contains(mac)) => true,
            Some(_) => machines.addresses.contains(&address) && inventory.is_some_and(have_left),
            None => machines.addresses.contains(&address),
        };
        let is_on_lan = inventory.is_some_and(|inventory| is_lan(inventory, address));
        match self {
            _ if is_own_host => Some(Grant::OwnHost),
            SecretsPolicy::Lan if is_on_lan => Some(Grant::ByPlace),
            _ => None,
        }
    }
}

/// Whether this address is one of the nodes' network.
pub fn is_lan(inventory: &Inventory, peer: IpAddr) -> bool {
    inventory.network.cidrs.iter().any(|cidr| cidr.contains(&peer))
}

/// Why a peer may fetch a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// It is for this very host.
    OwnHost,
    /// The peer sits where people sit, with browsers; see [`is_name_of_ours`].
    ByPlace,
}

/// Whether the name that a request was made to can be meant for us. A page on `evil.example` can have its name point
/// here (DNS rebinding) and then read, through the browser of somebody who may fetch secrets, what its scripts ask
/// for. Such a request names the page's host; an address, a name without a dot or one of the inventory's cannot be it.
pub fn is_name_of_ours(host: &str, inventory: Option<&Inventory>) -> bool {
    let (name, _port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    let is_address = name.parse::<IpAddr>().is_ok() || name.starts_with('[');
    if is_address || !name.contains('.') {
        return true;
    }
    inventory.is_some_and(|inventory| {
        let name = name.to_ascii_lowercase();
        let base_url = inventory.router.base_url.as_str();
        let base_host = base_url.trim_start_matches("http://").split(':').next();
        let domain = inventory.network.domain.as_ref();
        base_host == Some(&name) || domain.is_some_and(|domain| name.ends_with(&format!(".{domain}")))
    })
}
