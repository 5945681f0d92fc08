//! Which cluster the servers are in, by the SHA-256 of its CA: one that joins another cluster begins to split the site.

use serde::{Deserialize, Serialize};

use crate::catalogue::Sha256;
use crate::ids::HostName;

use super::{History, Moment};

/// A server's cluster, as the server reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub ca_sha256: Sha256,
    /// When it was first reported.
    pub at: Moment,
    /// It was sent to bootstrap this cluster, or to restore it.
    pub founded: bool,
}

impl History {
    /// The CA that the cluster is known by: that of the server that bootstrapped or restored it last, else of the one that joined
    /// first. None while another cluster is being bootstrapped: nobody shall be held to the one before.
    pub fn cluster_ca(&self) -> Option<(&HostName, Sha256)> {
        if self.iter().any(|(_, known)| known.bootstraps) {
            return None;
        }
        let members = || self.iter().filter_map(|(host, known)| Some((host, known.member.as_ref()?)));
        let founder = members().filter(|(_, member)| member.founded).max_by_key(|(_, member)| member.at);
        let known = founder.or_else(|| members().min_by_key(|(_, member)| member.at));
        known.map(|(host, member)| (host, member.ca_sha256))
    }

    /// Why this host is in another cluster than the one that is known.
    pub fn stray(&self, host: &HostName) -> Option<String> {
        let own = self.of(host.as_str())?.member.as_ref()?.ca_sha256;
        let (first, known) = self.cluster_ca()?;
        (own != known).then(|| {
            format!("joined another cluster than {first}: its CA is {own}, that of {first} is {known}")
        })
    }
}
