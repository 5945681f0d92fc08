//! Who is at the other end of a connection, as far as the connection alone tells.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 always as IPv4: a socket on `[::]` sees it as `::ffff:192.0.2.1` (RFC 4291 §2.5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Over the socket in the state folder, which only its owner can open.
    Operator,
    /// From an address of this machine: a person here, or a program that forwards for anybody.
    ThisMachine(IpAddr),
    Network(IpAddr),
}

impl Peer {
    /// A connection over TCP, by the addresses of both ends.
    pub fn at(peer: IpAddr, local: IpAddr) -> Self {
        let (peer, local) = (peer.to_canonical(), local.to_canonical());
        let is_localhost =
            [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)].contains(&peer);
        match is_localhost || peer == local {
            true => Peer::ThisMachine(peer),
            false => Peer::Network(peer),
        }
    }

    /// The address of another machine.
    pub fn network(self) -> Option<IpAddr> {
        match self {
            Peer::Network(address) => Some(address),
            Peer::Operator | Peer::ThisMachine(_) => None,
        }
    }

    pub fn is_loopback(self) -> bool {
        match self {
            Peer::Network(address) | Peer::ThisMachine(address) => address.is_loopback(),
            Peer::Operator => false,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Operator => f.write_str("operator"),
            Peer::ThisMachine(address) | Peer::Network(address) => address.fmt(f),
        }
    }
}
