//! Who may fetch an artifact that carries a secret. Public artifacts never come here.
//!
//! It trusts addresses, as everything before the first SSH key on a node must: a boot client has no credentials.
//! So it is as strong as the network's ARP, and it refuses to guess about proxies.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::catalogue::Audience;
use crate::inventory::Inventory;

use super::connection::Endpoints;

/// Who may fetch secrets, `--secrets`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SecretsPolicy {
    /// This machine itself, and each host what is meant for it, by the addresses in the inventory
    #[default]
    OwnHost,
    /// As own-host, and any address within the inventory's network.cidr
    Lan,
    /// This machine's loopback only
    Loopback,
}

impl SecretsPolicy {
    /// For the 403: what would be allowed, and by which option.
    pub fn rule(self) -> &'static str {
        match self {
            SecretsPolicy::OwnHost => {
                "with --secrets own-host only the host it is for, by its address in the inventory, and this machine may"
            }
            SecretsPolicy::Lan => {
                "with --secrets lan only addresses within network.cidr and this machine may"
            }
            SecretsPolicy::Loopback => "with --secrets loopback only this machine's loopback may",
        }
    }

    /// `inventory` is the one served now. `addresses` are those that an older generation knew its audience by; they
    /// count only for a peer that is nobody else by now.
    pub fn allows(
        self,
        ends: &Endpoints,
        audience: &Audience,
        addresses: &BTreeSet<IpAddr>,
        inventory: Option<&Inventory>,
    ) -> bool {
        if ends.peer.is_loopback() {
            return true;
        }
        let own_machine = ends.peer == ends.local;
        let own_host = || match inventory.and_then(|inventory| inventory.host_at(ends.peer)) {
            Some(host) => audience.includes(&host.name),
            None => addresses.contains(&ends.peer),
        };
        let lan = || inventory.is_some_and(|inventory| inventory.network.cidr.contains(&ends.peer));
        match self {
            SecretsPolicy::Loopback => false,
            SecretsPolicy::OwnHost => own_machine || own_host(),
            SecretsPolicy::Lan => own_machine || own_host() || lan(),
        }
    }
}
