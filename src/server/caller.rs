//! Who asks for something to be done: only machines and people that the request cannot have been forged for.
//!
//! A page in the browser of somebody who may, can send requests in their name: with its own `Origin` (all browsers send
//! it with POST and DELETE), or under a name of its own that points here (DNS rebinding).

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use crate::ids::HostName;
use crate::inventory::Inventory;

use super::access::{SecretsPolicy, is_lan, is_name_of_ours};
use super::connection::Endpoints;
use super::refusal::Refusal;

#[derive(Debug)]
pub struct Caller {
    ends: Endpoints,
    host: Option<String>,
    has_origin: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let ends = parts.extensions.get::<Endpoints>().copied();
        let ends = ends.ok_or(Refusal::Ours("a connection without addresses"))?;
        let header = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let host = parts.uri.host().or(header).map(str::to_owned);
        Ok(Caller { ends, host, has_origin: parts.headers.contains_key(header::ORIGIN) })
    }
}

impl Caller {
    /// Whoever sits at the machine that serves.
    pub fn must_be_operator(&self, inventory: &Inventory) -> Result<(), Refusal> {
        if !self.ends.peer.is_loopback() {
            return Err(Refusal::NotLoopback(self.ends.peer));
        }
        self.must_mean_us(inventory)
    }

    /// The host itself, by its address, or this machine in its stead; or somebody who may have the host's secrets as well,
    /// and so can be it: a node that installs and whose reports do not count is installed again and again.
    pub fn must_be_host(
        &self,
        host: &HostName,
        inventory: &Inventory,
        secrets: SecretsPolicy,
    ) -> Result<(), Refusal> {
        let Endpoints { peer, local } = self.ends;
        let at = inventory.host_at(peer);
        if at.is_some_and(|at| at.name == *host) {
            return Ok(());
        }
        let may_be = at.is_none() && secrets == SecretsPolicy::Lan && is_lan(inventory, peer);
        if !peer.is_loopback() && peer != local && !may_be {
            return Err(Refusal::NotTheHost { host: host.clone(), client: peer });
        }
        self.must_mean_us(inventory)
    }

    fn must_mean_us(&self, inventory: &Inventory) -> Result<(), Refusal> {
        let is_ours = self.host.as_deref().is_none_or(|host| is_name_of_ours(host, Some(inventory)));
        match is_ours && !self.has_origin {
            true => Ok(()),
            false => Err(Refusal::Forged),
        }
    }
}
