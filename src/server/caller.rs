//! Who asks, and what that allows: the operator over the socket in the state folder, a host by its address, everybody else.
//!
//! An address of this machine proves nothing: whatever forwards here (a reverse proxy, a container's published port, socat)
//! comes from it in the name of anybody. A request that says it was forwarded proves nothing either, whatever its address.
//! A page in the browser of somebody who may can send requests in their name: with its own `Origin` (all browsers send
//! it with POST and DELETE), or under a name of its own that points here (DNS rebinding).

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::ids::HostName;
use crate::inventory::{Host, Inventory};

use super::access::{SecretsPolicy, is_lan, is_name_of_ours};
use super::peer::Peer;
use super::refusal::Refusal;

#[derive(Debug)]
pub struct Caller {
    pub peer: Peer,
    /// The name it was made to; HTTP/1.0 has none.
    pub host: Option<String>,
    has_origin: bool,
    /// The header by which a proxy says that it forwards.
    forwarded: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Caller::of(parts)
    }
}

impl Caller {
    pub fn of(parts: &Parts) -> Result<Self, Refusal> {
        let peer = parts.extensions.get::<Peer>().copied();
        let peer = peer.ok_or(Refusal::Ours("a connection without a peer"))?;
        let header = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let host = parts.uri.host().or(header).map(str::to_owned);
        let has_origin = parts.headers.contains_key(header::ORIGIN);
        Ok(Caller { peer, host, has_origin, forwarded: forwarded(&parts.headers) })
    }

    /// Where it comes from, if that says who it is.
    pub fn address(&self) -> Option<IpAddr> {
        self.peer.network().filter(|_| self.forwarded.is_none())
    }

    /// Whoever may open the operator's socket.
    pub fn must_be_operator(&self, inventory: &Inventory) -> Result<(), Refusal> {
        self.must_be_direct()?;
        if self.peer != Peer::Operator {
            return Err(Refusal::NotTheOperator(self.peer));
        }
        self.must_mean_us(inventory)
    }

    /// The host itself, by its address, or the operator in its stead; or somebody who may have the host's secrets as well,
    /// and so can be it: a node that installs and whose reports do not count is installed again and again.
    pub fn must_be_host(
        &self,
        host: &HostName,
        inventory: &Inventory,
        secrets: SecretsPolicy,
    ) -> Result<(), Refusal> {
        self.must_be_direct()?;
        let address = self.peer.network();
        let at = address.and_then(|address| inventory.host_at(address));
        if at.is_some_and(|at| at.name == *host) {
            return Ok(());
        }
        let is_on_lan = address.is_some_and(|address| is_lan(inventory, address));
        let may_be = at.is_none() && secrets == SecretsPolicy::Lan && is_on_lan;
        if self.peer != Peer::Operator && !may_be {
            return Err(Refusal::NotTheHost { host: host.clone(), client: self.peer });
        }
        self.must_mean_us(inventory)
    }

    /// Not in the name of somebody whom only a proxy knows.
    pub fn must_be_direct(&self) -> Result<(), Refusal> {
        self.forwarded.clone().map_or(Ok(()), |header| Err(Refusal::Forwarded { header }))
    }

    /// The host whose address this is, and nobody in its stead: a FleetLock client does not say which host it is.
    pub fn must_be_a_host<'i>(&self, inventory: &'i Inventory) -> Result<&'i Host, Refusal> {
        self.must_be_direct()?;
        let host = self.peer.network().and_then(|address| inventory.host_at(address));
        host.ok_or(Refusal::NoHostAt(self.peer))
    }

    fn must_mean_us(&self, inventory: &Inventory) -> Result<(), Refusal> {
        let is_ours = self.host.as_deref().is_none_or(|host| is_name_of_ours(host, Some(inventory)));
        match is_ours && !self.has_origin {
            true => Ok(()),
            false => Err(Refusal::Forged),
        }
    }
}

/// RFC 7239's header, that of RFC 9110 §7.6.3, and what was in use before them and still is.
fn forwarded(headers: &HeaderMap) -> Option<String> {
    let says_so =
        |name: &&str| ["forwarded", "via", "x-real-ip"].contains(name) || name.starts_with("x-forwarded-");
    headers.keys().map(|name| name.as_str()).find(says_so).map(str::to_owned)
}
